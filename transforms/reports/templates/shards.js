// Loads the data beside the pages: each file calls `deliver` once. A file is loaded once and kept.
const { load, data } = (() => {
  const folder = location.pathname.endsWith("/cluster.html") ? "data/" : "pages/data/";
  const waiting = new Map(), kept = new Map();
  const admit = (path) => {
    if (!/^(pages\/)?data\/[a-z]+\/\d+\.js$/.test(path)) throw new TypeError(`not a file of this report: ${path}`);
    return path;
  };
  const policy = window.trustedTypes ? trustedTypes.createPolicy("pages", { createScriptURL: admit }) : { createScriptURL: admit };
  window.deliver = (name, value) => waiting.get(name)(value);

  const load = (kind, number) => {
    const name = `${kind}/${number}`;
    if (!kept.has(name)) {
      kept.set(name, new Promise((done, failed) => {
        const script = document.createElement("script");
        waiting.set(name, done);
        script.src = policy.createScriptURL(`${folder}${name}.js`);
        script.addEventListener("load", () => script.remove());
        script.addEventListener("error", () => {
          kept.delete(name);
          failed(new Error(`The file ${folder}${name}.js could not be read. Keep this page together with its folder “pages”.`));
        });
        document.head.append(script);
      }));
    }
    return kept.get(name);
  };
  return { load, data: JSON.parse(document.getElementById("data").textContent) };
})();
