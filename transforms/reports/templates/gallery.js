// The most repeated pictures: sorted and filtered by an index that is loaded when it is needed, searched file by file.
(() => {
  if (!data.listed) return;
  const PAGE = 24;
  const list = one("#list"), template = one("#work"), status = one("#shown");
  const controls = { q: one("#words"), host: one("#host"), licence: one("#licence"), least: one("#least"), unsafe: one("#unsafe"), by: one("#order") };
  const plain = (text) => text.normalize("NFKC").toLowerCase();
  const files = (entries, size) => Math.ceil(entries / size);
  let turns = 0, order = null, wanted = "";

  const entry = async (position) => (await load("gallery", Math.floor(position / data.part)))[position % data.part];

  const index = async () => {
    const parts = await Promise.all(Array.from({ length: files(data.listed, data.column) }, (_, n) => load("index", n)));
    const column = (name) => parts.flatMap((part) => part[name]);
    index.ready ??= { ...Object.fromEntries(["copies", "near", "hosts", "captions", "far", "unsafe", "licenceOf", "hostOf"].map((name) => [name, column(name)])), ...(await load("names", 0)) };
    return index.ready;
  };

  const chosen = async () => {
    const by = controls.by.value, host = plain(controls.host.value.trim()), licence = controls.licence.value;
    const least = Number(controls.least.value), unsafe = controls.unsafe.value;
    const all = Array.from({ length: data.listed }, (_, position) => position);
    if (by === "copies" && !host && !licence && !least && !unsafe) return all;
    const columns = await index();
    const served = new Set(host ? columns.hostNames.flatMap((name, n) => (plain(name).includes(host) ? [n] : [])) : []);
    const license = columns.licenceNames.indexOf(licence);
    const fits = (at) => columns.copies[at] >= least
      && (!host || columns.hostOf[at].some((n) => served.has(n)))
      && (!licence || columns.licenceOf[at].includes(license))
      && (!unsafe || (columns.unsafe[at] === 1) === (unsafe === "yes"));
    const kept = all.filter(fits);
    if (by !== "copies") kept.sort((a, b) => columns[by][b] - columns[by][a] || a - b);
    return kept;
  };

  const search = async (among, words, turn) => {
    const byFile = Map.groupBy(among, (position) => Math.floor(position / data.part));
    const found = new Set();
    let done = 0;
    for (const [file, positions] of byFile) {
      const entries = await load("gallery", file);
      if (turn !== turns) return [];
      for (const position of positions) {
        const work = entries[position % data.part];
        work.plain ??= plain([...work.captions, ...work.hosts].join("\n"));
        if (work.plain.includes(words)) found.add(position);
      }
      done += positions.length;
      if (byFile.size > 8) status.textContent = `Searched ${number(done)} of ${number(among.length)}`;
    }
    return among.filter((position) => found.has(position));
  };

  const hung = async (position) => {
    const work = await entry(position);
    const image = position < data.thumbnails ? (await load("thumbnails", Math.floor(position / data.sheet)))[position % data.sheet] : null;
    const { made, put } = stamp(template);
    const no = `No. ${number(position + 1)}`, address = `pages/cluster.html#${work.id}`;
    const why = position < data.thumbnails ? "The picture could not be read. Its copies were counted by their fingerprints." : "No small copy is kept of this picture.";
    made.id = `cluster-${work.id}`;
    made.dataset.copies = work.copies;
    hang(one(".mat", made), image, why, work.unsafe === 1, `picture ${number(position + 1)}`);
    put.image.alt = work.captions[0] ?? "A picture without a caption";
    put.open.href = put.rows.href = address;
    put.open.tabIndex = -1; // the same as the link below, for the pointer
    put.open.setAttribute("aria-hidden", "true");
    put.rows.textContent = `${no}: see the rows`;
    put.copies.textContent = number(work.copies);
    put.unit.textContent = work.copies === 1 ? "row" : "rows";
    put.exact.textContent = number(work.exact);
    put.near.textContent = number(work.copies - work.exact);
    const bars = made.querySelectorAll(".strip rect"), share = (100 * work.exact) / work.copies;
    bars[0].setAttribute("width", `${share}%`);
    bars[1].setAttribute("x", `${share}%`);
    bars[1].setAttribute("width", `${100 - share}%`);
    one(".strip", made).setAttribute("aria-label", `${number(work.exact)} exact and ${number(work.copies - work.exact)} near copies`);
    put.captions.hidden = !work.captions.length;
    put.captions.append(...work.captions.slice(0, 2).map(isolated));
    put.captionCount.textContent = `${number(work.captionCount)} different`;
    put.more.hidden = work.captions.length < 3;
    put.moreLabel.textContent = counted(work.captions.length - 2, "more sample");
    put.moreCaptions.append(...work.captions.slice(2).map(isolated));
    put.more.open = Boolean(wanted) && !put.more.hidden && work.captions.slice(2).some((text) => plain(text).includes(wanted));
    put.hosts.textContent = [number(work.hostCount), work.hosts.slice(0, 3).join(", ")].filter(Boolean).join(": ");
    put.otherHosts.hidden = work.hosts.length < 4;
    put.hostsLabel.textContent = counted(work.hosts.length - 3, "more sample");
    put.moreHosts.textContent = work.hosts.slice(3).join(", ");
    put.otherHosts.open = Boolean(wanted) && plain(put.moreHosts.textContent).includes(wanted);
    put.urls.textContent = `${number(work.urls)} different`;
    put.licences.textContent = work.licences.join(", ");
    put.far.textContent = work.far ?? "not measured";
    put.id.textContent = work.id;
    return made;
  };

  const pages = pager(PAGE, async (at, moved) => {
    const turn = turns, shown = order.slice(at * PAGE, (at + 1) * PAGE);
    try {
      const made = await Promise.all(shown.map(hung));
      if (turn !== turns) return;
      list.replaceChildren(...made);
    } catch (error) { problem(error); return; }
    const upto = `${number(at * PAGE + 1)}–${number(at * PAGE + shown.length)}`;
    const fit = order.length === data.listed ? `${number(order.length)} pictures` : `${counted(order.length, "picture")} that ${order.length === 1 ? "fits" : "fit"}, of ${number(data.listed)}`;
    status.textContent = order.length ? `Showing ${upto} of ${fit}` : `Showing none of ${counted(data.listed, "picture")}`;
    one(".nothing").hidden = order.length > 0;
    remember(at);
    if (moved) { one("#pictures").focus(); one("#pictures").scrollIntoView(); }
  });

  const problem = (error) => { status.textContent = error.message; };

  // What is chosen is kept in the address, so that it can be passed on and found again on the way back.
  const remember = (at) => {
    const said = new URLSearchParams();
    for (const [name, control] of Object.entries(controls)) if (control.value && control.value !== "copies") said.set(name, control.value);
    if (at) said.set("page", at + 1);
    history.replaceState(null, "", said.size ? `#${said}` : location.pathname);
  };
  const recall = () => {
    const said = new URLSearchParams(location.hash.slice(1));
    for (const [name, control] of Object.entries(controls)) if (said.has(name)) control.value = said.get(name);
    if (!controls.by.value) controls.by.value = "copies";
    return Math.trunc(Number(said.get("page")) || 1) - 1;
  };

  const show = async (first = 0) => {
    const turn = (turns += 1);
    wanted = plain(controls.q.value.trim());
    try {
      let fitting = await chosen();
      if (wanted && turn === turns) fitting = await search(fitting, wanted, turn);
      if (turn !== turns) return;
      order = fitting;
      await pages.begin(order.length, first);
    } catch (error) { problem(error); }
  };

  let pause;
  for (const control of Object.values(controls)) {
    control.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(show, control.tagName === "SELECT" ? 0 : 150); });
  }
  one("#reset").addEventListener("click", () => {
    for (const control of Object.values(controls)) control.value = "";
    controls.by.value = "copies";
    show();
    controls.q.focus();
  });
  one(".tools").hidden = false;
  show(recall());
})();
