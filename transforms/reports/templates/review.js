// The curators' desk: one item at a time, by keyboard. Texts of others are set as text, never as markup.
(() => {
  const one = (selector) => document.querySelector(selector);
  const make = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const session = sessionStorage.getItem("session") ?? random();
  sessionStorage.setItem("session", session);
  const state = { item: null, shown: 0, chosen: 0, busy: true, differs: false };
  const queue = one("#queue"), mode = one("#mode"), search = one("#search"), reason = one("#reason");
  const TITLES = { pair: "Are these the same picture?", cluster: "Do these rows show one picture?", case: "Is this a copy?", guard_block: "Was this rightly blocked?" };

  function random() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  function say(text) { one("#said").textContent = text; }
  function problem(text) {
    one("#problem").hidden = !text;
    one("#problem").textContent = text ?? "";
  }
  async function ask(path, body) {
    const answer = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const said = await answer.json().catch(() => ({ reason: `the server answered ${answer.status}` }));
    if (!answer.ok) throw Object.assign(new Error(said.reason), { refused: answer.status < 500 });
    return said;
  }
  // An answer that did not arrive is sent again, under its own name, until the server says that it has it.
  async function deliver(decision) {
    sessionStorage.setItem("unsent", JSON.stringify(decision));
    for (let wait = 200; ; wait = Math.min(2 * wait, 5000)) {
      try {
        const said = await ask("v1/decide", decision);
        sessionStorage.removeItem("unsent");
        problem(null);
        return said;
      } catch (error) {
        if (error.refused) {
          sessionStorage.removeItem("unsent");
          throw error;
        }
        problem(`Your last answer is not kept yet: ${error.message}. It is sent again.`);
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }
  // Only one thing at a time; keys that come meanwhile are not taken for answers to what is not shown yet.
  async function only(work) {
    if (state.busy) return;
    state.busy = true;
    one("#item").setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      problem(error.message);
    } finally {
      state.busy = false;
      one("#item").setAttribute("aria-busy", "false");
      document.body.dataset.ready = String(Number(document.body.dataset.ready ?? 0) + 1);
    }
  }
  // What names an item, whatever version is asked about by the time the server reads it.
  const names = (item) => ({ version: item.version, position: item.position, picture_a: item.digests[0], other: item.digests[1] });
  async function take(more = {}) {
    const item = "after" in more ? null : state.item;
    const wish = { session, queue: queue.value, mode: mode.value, search: search.value, after: item?.position ?? -1, ...(item ? names(item) : {}), ...more };
    const said = await ask("v1/take", wish);
    if (more.back && said.item === null) { say("This is the first."); return; }
    show(said);
  }
  // Another version is taken up with the next item, so that nothing on the page changes under anybody's hands.
  function tell(said) {
    const changed = state.version !== undefined && state.version !== said.version;
    state.version = said.version;
    one("#version").textContent = `Version ${said.version}`;
    const text = said.newer === null ? (changed ? `Version ${said.version} is asked about from here on; it follows what was decided before it was made.` : "") :
      said.newerRefused ? `Version ${said.newer} is published, and cannot be asked about: ${said.newerRefused}` :
        `Version ${said.newer} is published. Your next item is of it; what you see is still of version ${said.version}.`;
    if (text !== one("#newer").textContent) one("#newer").textContent = text;
    one("#newer").hidden = !text;
  }
  function show(said) {
    tell(said);
    const item = state.item = said.item;
    Object.assign(state, { shown: performance.now(), chosen: item?.kind === "cluster" ? Math.min(1, item.pictures.length - 1) : 0, differs: false });
    const counts = said.queues[queue.value];
    const open = mode.value === "sampled" ? counts.sampled_open : counts.open;
    one("#progress").textContent = `${open.toLocaleString("en")} of ${(mode.value === "sampled" ? counts.sampled : counts.items).toLocaleString("en")} open, ${counts.mine.toLocaleString("en")} decided by you` +
      (said.found === undefined || said.found === null ? "" : `; ${said.found.toLocaleString("en")} found`);
    one("#item").hidden = item === null;
    one("#nothing").hidden = item !== null;
    problem(null);
    if (item === null) { say("Nothing is open here."); return; }
    one("#what").textContent = TITLES[item.kind];
    one("#verdict").textContent = item.verdict ? `${item.verdict}: ${item.meaning}` : item.meaning ?? "";
    one("#item").dataset.position = item.position;
    reason.value = "";
    one("#answers").replaceChildren(...item.answers.map(([answer, label, effect], i) => {
      const button = make("button", null, "button");
      button.type = "button";
      button.append(make("kbd", i + 1), " ", make("span", label), make("small", effect));
      button.addEventListener("click", () => decide(answer));
      return button;
    }));
    one("#pictures").classList.toggle("many", item.kind === "cluster");
    one("#pictures").replaceChildren(...item.pictures.map(picture));
    choose(state.chosen);
    over(item);
    one("#numbers").replaceChildren(...(item.numbers ?? []).flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
    one("#decided").hidden = !item.decisions?.length;
    one("#decisions").replaceChildren(...(item.decisions ?? []).map(([by, answer, at, why]) => make("li", `${answer}, by ${by} on ${at}${why ? `: ${why}` : ""}`)));
    say(`${TITLES[item.kind]} Item ${item.position + 1}. ${one("#verdict").textContent}`);
    one("#what").focus({ preventScroll: true });
  }
  function picture(about, number) {
    const made = one("#picture").content.cloneNode(true).querySelector("figure");
    const image = made.querySelector("img"), frame = made.querySelector(".picture"), unread = made.querySelector(".unread");
    frame.classList.toggle("veiled", about.unsafe);
    if (!about.unsafe) made.querySelector(".reveal").remove();
    made.querySelector("strong").textContent = about.title;
    made.querySelector(".how").textContent = [about.how, about.rows, about.recalled ? "recalled" : null].filter(Boolean).join(", ");
    const missing = (why) => { frame.hidden = true; unread.hidden = false; unread.textContent = why; };
    if (about.source) {
      image.alt = `${about.title}${about.caption ? `: ${about.caption.slice(0, 200)}` : ""}`;
      image.addEventListener("error", () => missing("This picture cannot be read now."));
      image.src = about.source;
    } else {
      missing("There is no picture of it here, only its digest.");
    }
    const facts = made.querySelector("dl");
    for (const [name, value, link] of [
      ["caption", about.caption], ["licence", about.licence ?? (about.dataset ? "unknown" : null)], ["host", about.host], ["URL", about.url, about.linked],
      ["size", about.size], ["model", about.model], ["row", about.row],
    ]) {
      if (!value) continue;
      const written = make("dd"), shown = make("bdi", value);
      if (name === "caption") written.dir = "auto";
      if (link) {
        const anchor = make("a");
        Object.assign(anchor, { href: value, rel: "noopener noreferrer nofollow", target: "_blank" });
        anchor.append(shown);
        written.append(anchor);
      } else written.append(shown);
      facts.append(make("dt", name), written);
    }
    if (state.item?.kind === "cluster" && number > 0) {
      const button = make("button", "Choose this one", "button choose");
      button.type = "button";
      button.addEventListener("click", () => choose(number));
      made.querySelector("figcaption").append(" ", button);
    }
    return made;
  }
  function choose(number) {
    const figures = [...one("#pictures").children];
    if (state.item?.kind !== "cluster" || figures.length < 2) return;
    state.chosen = (number + figures.length) % figures.length;
    figures.forEach((figure, i) => figure.toggleAttribute("data-chosen", i === state.chosen));
    figures.forEach((figure, i) => figure.querySelector(".choose")?.setAttribute("aria-pressed", String(i === state.chosen)));
  }
  function over(item) {
    const figure = one("#over"), unsafe = item.pictures.some((each) => each.unsafe);
    figure.hidden = !item.laid || unsafe;
    if (figure.hidden) return;
    one("#below").src = item.pictures[0].source;
    one("#below").alt = item.pictures[0].title;
    one("#below").onerror = one("#above").onerror = () => { figure.hidden = true; };
    lay("source");
  }
  function lay(part) {
    state.differs = part === "heat";
    one("#above").src = `v1/laid?queue=${queue.value}&position=${state.item.position}&version=${state.item.version}&part=${part}`;
    one("#differ").setAttribute("aria-pressed", String(state.differs));
    if (state.differs) one("#slide").value = 100;
    slide();
  }
  function slide() { one("#above").style.opacity = one("#slide").value / 100; }
  function decide(answer) {
    return only(async () => {
      const item = state.item;
      if (!item || !item.answers.some(([each]) => each === answer)) return;
      const picked = item.kind === "cluster" ? item.pictures[state.chosen] : null;
      if (answer === "different" && item.kind === "cluster" && state.chosen === 0) {
        problem("Choose another picture: this one stands for the cluster.");
        return;
      }
      await deliver({
        session, queue: queue.value, mode: mode.value, ...names(item), answer, decision_id: random(),
        picture_b: picked?.digest ?? null, reason: reason.value || null, seconds: (performance.now() - state.shown) / 1000,
      });
      if (item.kind === "cluster" && answer === "different") {
        one("#pictures").children[state.chosen].toggleAttribute("data-cut", true);
        say("Cut out. Go on with the rest of the cluster.");
        return;
      }
      await take();
    });
  }
  function undo() {
    return only(async () => {
      const said = await ask("v1/undo", { session });
      if (said.undone === null) { say("You have no answer to take back."); return; }
      if (said.item) {
        queue.value = said.item.queue;
        await take({ again: true, after: said.item.position - 1 });
      }
      say(`Taken back: ${said.undone}.`);
    });
  }
  const anew = () => only(() => { state.item = null; return take(); });
  const keys = {
    j: () => only(() => take()), k: () => only(() => take({ back: true })), u: undo,
    "/": () => search.focus(), "?": () => one("#keys").showModal(), r: () => reason.focus(),
    d: () => { if (!one("#over").hidden) lay(state.differs ? "source" : "heat"); },
    o: () => { if (!one("#over").hidden) one("#slide").focus(); },
    ArrowLeft: () => choose(state.chosen - 1), ArrowRight: () => choose(state.chosen + 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one("#keys").open) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing) {
      if (event.key === "Escape" || (event.key === "Enter" && typing === reason)) one("#what").focus();
      return;
    }
    const answer = /^[1-5]$/.test(event.key) && state.item?.answers[Number(event.key) - 1];
    if (answer) {
      if (!event.repeat) decide(answer[0]);
    } else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") anew(); });
  queue.addEventListener("change", () => { sessionStorage.setItem("queue", queue.value); anew(); });
  mode.addEventListener("change", () => { sessionStorage.setItem("mode", mode.value); anew(); });
  one("#slide").addEventListener("input", slide);
  for (const [id, key] of [["#next", "j"], ["#back", "k"], ["#undo", "u"], ["#help", "?"], ["#differ", "d"]]) one(id).addEventListener("click", keys[key]);
  one("#close").addEventListener("click", () => one("#keys").close());
  (async () => {
    queue.value = sessionStorage.getItem("queue") ?? queue.value;
    mode.value = sessionStorage.getItem("mode") ?? mode.value;
    state.busy = false;
    await only(async () => {
      const said = await ask("v1/state");
      tell(said);
      one("#who").textContent = said.name;
      if (!sessionStorage.getItem("queue")) queue.value = Object.keys(said.queues).find((each) => said.queues[each].open) ?? "pairs";
      const unsent = sessionStorage.getItem("unsent");
      if (unsent) await deliver(JSON.parse(unsent));
      await take({ again: true });
    });
    // Only looks: whoever is away keeps the item. What cannot be asked now is asked again.
    setInterval(() => { if (!state.busy && !document.hidden) ask("v1/state").then(tell).catch(() => {}); }, 30_000);
  })();
})();
