// The cluster that the address names: what its rows share, what differs, and the rows page by page.
(() => {
  const PAGE = 50;
  const METHODS = {
    representative: "the representative", sha256: "the same file", pixels: "the same pixels in another file",
    pdq: "confirmed by its perceptual hash", aligned: "confirmed by aligned pixels", decided: "decided by a person",
  };
  const WORDS = { b: "file", p: "pixels", s: "size", r: "proportions: cropped or squeezed", c: "caption", h: "host", l: "licence" };
  const FIELDS = ["id", "method", "group", "far", "aligned", "width", "height", "url", "link", "caption", "licence", "differs"];
  const list = one("#list"), template = one("#row");
  let cluster = null, pictures = null, cover = null, current = 0;

  const address = (member) => {
    if (!member.url) return "not stated";
    if (!member.link || !/^https?:\/\//i.test(member.url)) return element("bdi", member.url);
    const link = element("a");
    link.href = member.url;
    link.rel = "noopener noreferrer nofollow";
    link.append(element("bdi", member.url));
    return link;
  };
  const measured = (member) => {
    const said = [member.far];
    if (member.aligned !== null) said.push(`${member.aligned > 0 && member.aligned < 0.001 ? "less than 0.001" : member.aligned.toFixed(3)} between aligned pixels, where 1 is black on white`);
    return said.join("; ");
  };
  const picture = (member) => (member.group === 0 ? cover : pictures?.[member.group] ?? null);
  const row = (member, at) => {
    const { made, put } = stamp(template);
    hang(one(".mat", made), picture(member), member.group === 0 ? "could not be read" : "no small copy", cluster.unsafe === 1, `row ${number(at + 1)}`);
    put.image.alt = `Row ${number(at + 1)} of the cluster`;
    put.name.textContent = `Row ${number(at + 1)}`;
    put.how.textContent = METHODS[member.method] ?? member.method;
    put.caption.textContent = member.caption ?? "no caption";
    put.caption.classList.toggle("muted", member.caption === null);
    put.address.append(address(member));
    put.licence.textContent = member.licence ?? "unknown";
    put.licence.classList.toggle("unknown", member.licence === null);
    put.size.textContent = `${number(member.width)} × ${number(member.height)} pixels`;
    put.distance.textContent = measured(member);
    put.differs.textContent = at === 0 ? "the row that the others are compared with" : Array.from(member.differs, (letter) => WORDS[letter]).join(", ") || "nothing that is recorded";
    put.id.textContent = member.id;
    return made;
  };

  const pages = pager(PAGE, (at, moved) => {
    const first = at * PAGE;
    list.replaceChildren(...cluster.members.slice(first, first + PAGE).map((member, n) => row(Object.fromEntries(FIELDS.map((name, at) => [name, member[at]])), first + n)));
    if (moved) { one("#members").focus(); one("#members").scrollIntoView(); }
  });

  const facts = () => {
    const said = [
      ["Files", `${counted(cluster.files, "different file")}; ${counted(cluster.exact, "row")} ${cluster.exact === 1 ? "has" : "have"} the representative’s`],
      ["Pixels", `${counted(cluster.pixels, "different picture")}, pixel by pixel`],
      ["Sizes", `in pixels: ${cluster.sizes.map(([size, rows]) => `${size} (${counted(rows, "row")})`).join(", ")}` + (cluster.sizeCount > cluster.sizes.length ? ` and ${counted(cluster.sizeCount - cluster.sizes.length, "more size")}` : "")],
      ["Confirmed", cluster.methods.map(([method, rows]) => `${counted(rows, "row")}: ${METHODS[method] ?? method}`).join("; ")],
      ["Furthest", `${cluster.far}, of the row that differs most from the representative`],
      ["Captions", `${number(cluster.captionCount)} different`],
      ["Hosts", `${number(cluster.hostCount)} different`],
      ["Addresses", `${number(cluster.urls)} different`],
      ["Licences", cluster.licences.join(", ")],
    ];
    return said.flatMap(([name, text]) => {
      const value = element("dd");
      value.append(element("bdi", text));
      return [element("dt", name), value];
    });
  };

  const copied = ([name, verdict, file]) => {
    const item = element("li");
    const shown = file ? Object.assign(element("a"), { href: `cases/${file}` }) : element("span");
    shown.append(element("bdi", name));
    item.append(shown, ` ${verdict.replaceAll("_", " ")}`);
    return item;
  };

  const problem = (text) => {
    one("#found").hidden = true;
    one("#problem").hidden = false;
    one("#problem").textContent = text;
  };

  const show = async () => {
    const turn = (current += 1), id = location.hash.slice(1);
    if (!/^\d{1,20}$/.test(id)) { problem("No cluster is named. Open one from the duplicate-frequency report."); return; }
    one("#cluster").textContent = id;
    try {
      const found = data.cluster_files ? await load("clusters", Number(BigInt(id) % BigInt(data.cluster_files))) : [];
      const wanted = found.find((entry) => entry.id === id);
      if (turn !== current) return;
      if (!wanted) { problem(`Cluster ${id} is not among the ${counted(data.listed, "repeated picture")} on these pages; look for it in duplicates.clusters.`); return; }
      const sheet = wanted.position < data.thumbnails ? await load("thumbnails", Math.floor(wanted.position / data.sheet)) : null;
      const own = wanted.pictures ? await load("pictures", id) : null;
      if (turn !== current) return;
      cluster = wanted;
      cover = sheet ? sheet[wanted.position % data.sheet] : null;
      pictures = own;
    } catch (error) { problem(error.message); return; }
    one("#problem").hidden = true;
    one("#found").hidden = false;
    document.title = `${counted(cluster.copies, "row")}, one picture: cluster ${id}`;
    one("#title").textContent = `One picture, ${counted(cluster.copies, "row")}`;
    hang(one("#picture"), cover, sheetless(), cluster.unsafe === 1, "the picture");
    one("#representative").textContent = cluster.representative;
    one("#lead").replaceChildren(element("strong", counted(cluster.copies, "training row")), ` show this picture: ${number(cluster.exact)} hold the same file, ${number(cluster.copies - cluster.exact)} another one.`);
    one("#recalled").hidden = !cluster.recalled;
    one("#recalled").textContent = `${counted(cluster.recalled, "more row")} that showed it ${cluster.recalled === 1 ? "was" : "were"} recalled and counted nowhere here; the model was trained on them all the same.`;
    one("#differ").replaceChildren(...facts());
    one("#generations").hidden = !cluster.generations.length;
    one("#copies").replaceChildren(...cluster.generations.map(copied));
    if (cluster.generationCount > cluster.generations.length) one("#copies").append(element("li", `and ${number(cluster.generationCount - cluster.generations.length)} more, in provenance.sources`));
    const left = cluster.copies - cluster.members.length;
    one("#listed").textContent = left ? `The first ${number(cluster.members.length)}, in the order in which they would be kept. The other ${counted(left, "row")} are in duplicates.clusters (the setting reports.members says how many are listed).` : "All of them, in the order in which they would be kept: the representative, then the larger picture.";
    pages.begin(cluster.members.length);
  };
  const sheetless = () => (cluster.position < data.thumbnails ? "The picture could not be read. Its copies were counted by their fingerprints." : "No small copy is kept of this picture.");

  window.addEventListener("hashchange", show);
  show();
})();
