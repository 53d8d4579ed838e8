// The confirmed copies: sorted and filtered by what the page holds, their pictures loaded a few at a time.
(() => {
  if (!data.cases.length) return;
  const PAGE = 12;
  const list = one("#list"), template = one("#case"), status = one("#shown");
  const verdict = one("#verdict"), least = one("#least"), by = one("#order");
  const KEYS = { copies: (at) => -data.cases[at][1], q: (at) => data.cases[at][2] };
  let turns = 0, order = [];

  const framed = (svg, region, what) => {
    svg.toggleAttribute("hidden", !region);
    if (!region) return;
    const [x, y, width, height] = region.map((part) => `${100 * part}%`);
    for (const box of svg.children) for (const [name, value] of Object.entries({ x, y, width, height })) box.setAttribute(name, value);
    svg.dataset.region = what;
    svg.setAttribute("aria-label", `Shared region on the ${what}: ${shareText(region[2], 1)} wide and ${shareText(region[3], 1)} high`);
  };

  const drawn = async (at) => {
    const found = (await load("cases", Math.floor(at / data.sheet)))[at % data.sheet];
    const { made, put } = stamp(template);
    put.name.href = `pages/cases/${found.file}`;
    put.name.append(element("bdi", found.id));
    put.verdict.textContent = found.verdict.replaceAll("_", " ");
    const unsafe = found.unsafe === 1;
    hang(put.generationMat, found.generation, "The generated image cannot be read now.", unsafe, "the generated image");
    hang(put.sourceMat, found.source, "The training picture cannot be read now.", unsafe, "the training picture");
    hang(put.overMat, found.over, "They cannot be laid over each other.", unsafe, "both laid over each other");
    framed(put.region, found.generation && found.region, "generation");
    framed(put.sourceRegion, found.source && found.sourceRegion, "source");
    framed(put.overRegion, found.over && found.region, "overlay");
    const rows = counted(found.copies, "training row");
    if (found.listed) put.copies.append(Object.assign(element("a", rows), { href: `pages/cluster.html#${found.cluster}` }));
    else put.copies.append(rows);
    if (found.recalled) put.copies.append(`, and ${counted(found.recalled, "row")} that ${found.recalled === 1 ? "was" : "were"} recalled`);
    put.licences.textContent = found.licences.join(", ") || "unknown";
    put.hosts.textContent = `${counted(found.hosts, "host")} in the training set`;
    put.certainty.textContent = `p ${found.p}, q ${found.q}`;
    put.prompt.textContent = found.prompt ?? "not stated";
    put.caption.textContent = found.caption ?? "not stated";
    return made;
  };

  const pages = pager(PAGE, async (at, moved) => {
    const turn = turns;
    try {
      const made = await Promise.all(order.slice(at * PAGE, (at + 1) * PAGE).map(drawn));
      if (turn !== turns) return;
      list.replaceChildren(...made);
    } catch (error) { status.textContent = error.message; return; }
    status.textContent = `Showing ${number(list.children.length)} of ${counted(order.length, "case")}${order.length < data.cases.length ? ` that ${order.length === 1 ? "fits" : "fit"}, of ${number(data.cases.length)}` : ""}`;
    if (moved) { one("#cases").focus(); one("#cases").scrollIntoView(); }
  });

  const show = () => {
    turns += 1;
    const fits = ([kind, copies]) => (!verdict.value || kind === verdict.value) && copies >= Number(least.value);
    order = data.cases.flatMap((each, at) => (fits(each) ? [at] : []));
    const key = KEYS[by.value];
    if (key) order.sort((a, b) => key(a) - key(b) || a - b);
    return pages.begin(order.length);
  };
  for (const control of [verdict, least, by]) control.addEventListener("input", show);
  one(".tools").hidden = false;
  show();
})();
