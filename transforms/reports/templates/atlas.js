// The map: places are drawn by WebGL, one vertex a point, and moved by two numbers and a scale.
(() => {
  const canvas = one("#map"), ring = one("#ring"), status = one("#shown"), problem = one("#problem"), detail = one("#detail");
  const controls = { kind: one("#kind"), concept: one("#concept"), licence: one("#licence") };
  const GENERATION = 2, COPY = 3, COPIED = 1;
  const total = data.points, at = new Uint16Array(2 * total), kind = new Uint8Array(total);
  const concept = new Uint16Array(total), licence = new Uint8Array(total), colour = new Uint8Array(4 * total);
  const hidden = new Uint8Array(total);
  const view = { x: 0.5, y: 0.5, scale: 1 };
  // Points are in no order, so the first ones are a fair sample: as many are drawn while the map moves as it keeps up with.
  const SLOW = 40, FAST = 22, LEAST = 20_000, REST = 150;
  let known = 0, shown = 0, grid = null, chosen = -1, asked = false, most = total, moving = false, last = 0, rest = 0;
  const fail = (text) => { problem.textContent = text; problem.hidden = false; };

  const gl = canvas.getContext("webgl", { antialias: false, alpha: true, premultipliedAlpha: false });
  if (!gl) { fail("This browser draws no WebGL, which the map needs. atlas.parquet beside this page holds the same points."); return; }
  const shader = (type, source) => {
    const made = gl.createShader(type);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec2 at; attribute vec4 colour; uniform vec3 view; uniform vec2 shape; uniform float size; varying vec4 tint;
    void main() {
      gl_Position = vec4((at - view.xy) * view.z * shape, 0.0, 1.0);
      gl_PointSize = size;
      tint = colour;
      if (colour.a == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float; varying vec4 tint; uniform float round;
    void main() {
      if (round > 0.5 && length(gl_PointCoord - 0.5) > 0.5) discard;
      gl_FragColor = tint;
    }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const uniforms = { view: uniform("view"), shape: uniform("shape"), size: uniform("size"), round: uniform("round") };
  const buffer = (name, size, type, bytes) => {
    const made = gl.createBuffer(), place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, true, 0, 0);
    return made;
  };
  const buffers = { at: buffer("at", 2, gl.UNSIGNED_SHORT, at.byteLength), colour: buffer("colour", 4, gl.UNSIGNED_BYTE, colour.byteLength) };
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);

  // Concepts have hues that differ from one to the next; generations and copies have colours of their own.
  const hue = (n) => {
    const h = (n * 0.61803398875) % 1, channel = (k) => {
      const f = (k + h * 12) % 12;
      return Math.round(255 * (0.45 - 0.32 * Math.max(-1, Math.min(f - 3, 9 - f, 1))));
    };
    return [channel(0), channel(8), channel(4)];
  };
  const hues = data.concepts.map((_, n) => (n === data.concepts.length - 1 ? [128, 128, 128] : hue(n)));
  const paint = (from, to) => {
    for (let n = from; n < to; n += 1) {
      const drawn = kind[n] === GENERATION ? [20, 110, 220] : kind[n] === COPY || kind[n] === COPIED ? [214, 52, 24] : hues[concept[n]] ?? hues[hues.length - 1];
      colour[4 * n] = drawn[0]; colour[4 * n + 1] = drawn[1]; colour[4 * n + 2] = drawn[2];
      colour[4 * n + 3] = hidden[n] ? 0 : kind[n] === 0 ? 150 : 255;
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers.colour);
    gl.bufferSubData(gl.ARRAY_BUFFER, 4 * from, colour.subarray(4 * from, 4 * to));
  };

  const shape = () => {
    const { width, height } = canvas, less = Math.min(width, height);
    return [1.9 * less / width, -1.9 * less / height];
  };
  const draw = (now) => {
    asked = false;
    if (moving && now - last > SLOW && now - last < 1_000) most = Math.max(LEAST, Math.min(most, total) / 2);
    if (moving && now - last < FAST) most = Math.min(total, most * 1.3);
    last = now;
    const ratio = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform3f(uniforms.view, view.x, view.y, view.scale);
    gl.uniform2f(uniforms.shape, ...shape());
    const base = ratio * Math.min(8, Math.max(known > 50_000 ? 1 : 3, Math.sqrt(view.scale) * (known > 50_000 ? 1 : 3)));
    const training = Math.min(known, data.training);
    gl.uniform1f(uniforms.size, base);
    gl.uniform1f(uniforms.round, base > 2 * ratio ? 1 : 0);
    gl.drawArrays(gl.POINTS, 0, moving ? Math.min(training, most) : training);
    gl.uniform1f(uniforms.size, base + 3 * ratio);
    gl.uniform1f(uniforms.round, 1);
    gl.drawArrays(gl.POINTS, training, moving ? Math.min(known - training, Math.ceil(most / 4)) : known - training);
    place();
  };
  const redraw = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
  const motion = () => {
    moving = true;
    canvas.dataset.moving = "yes";
    clearTimeout(rest);
    rest = setTimeout(() => { moving = false; delete canvas.dataset.moving; redraw(); }, REST);
    redraw();
  };
  const toScreen = (n) => {
    const [sx, sy] = shape();
    const x = (at[2 * n] / 65535 - view.x) * view.scale * sx, y = (at[2 * n + 1] / 65535 - view.y) * view.scale * sy;
    return [(x + 1) / 2 * canvas.clientWidth, (1 - y) / 2 * canvas.clientHeight];
  };
  const toMap = (px, py) => {
    const [sx, sy] = shape();
    return [(2 * px / canvas.clientWidth - 1) / (view.scale * sx) + view.x, (1 - 2 * py / canvas.clientHeight) / (view.scale * sy) + view.y];
  };
  const place = () => {
    ring.hidden = chosen < 0;
    if (chosen >= 0) { const [x, y] = toScreen(chosen); ring.style.left = `${x}px`; ring.style.top = `${y}px`; ring.hidden = x < 0 || y < 0 || x > canvas.clientWidth || y > canvas.clientHeight; }
  };
  const move = (dx, dy) => {
    const [x, y] = toMap(canvas.clientWidth / 2 - dx, canvas.clientHeight / 2 - dy);
    view.x = Math.min(1, Math.max(0, x)); view.y = Math.min(1, Math.max(0, y));
    motion();
  };
  const zoom = (factor, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) => {
    const [x, y] = toMap(px, py), scale = Math.min(4_000, Math.max(0.8, view.scale * factor));
    view.x = x + (view.x - x) * view.scale / scale; view.y = y + (view.y - y) * view.scale / scale; view.scale = scale;
    motion();
  };
  const whole = () => { Object.assign(view, { x: 0.5, y: 0.5, scale: 1 }); motion(); };

  // The nearest visible point: points are sorted into cells once, when something is first picked.
  const CELLS = 256, cell = (n) => (at[2 * n + 1] >> 8) * CELLS + (at[2 * n] >> 8);
  const sorted = () => {
    if (grid && grid.known === known) return grid;
    const starts = new Uint32Array(CELLS * CELLS + 1), order = new Uint32Array(known);
    for (let n = 0; n < known; n += 1) starts[cell(n) + 1] += 1;
    for (let c = 0; c < CELLS * CELLS; c += 1) starts[c + 1] += starts[c];
    const next = starts.slice();
    for (let n = 0; n < known; n += 1) { order[next[cell(n)]] = n; next[cell(n)] += 1; }
    grid = { starts, order, known };
    return grid;
  };
  const nearest = (px, py, reach) => {
    const { starts, order } = sorted(), [x0, y0] = toMap(px - reach, py - reach), [x1, y1] = toMap(px + reach, py + reach);
    const span = (a, b) => [Math.max(0, Math.floor(Math.min(a, b) * 65535 / 256)), Math.min(CELLS - 1, Math.floor(Math.max(a, b) * 65535 / 256))];
    const [left, right] = span(x0, x1), [low, high] = span(y0, y1);
    let best = -1, least = reach * reach;
    for (let row = low; row <= high; row += 1) {
      for (let index = starts[row * CELLS + left]; index < starts[row * CELLS + right + 1]; index += 1) {
        const n = order[index];
        if (hidden[n]) continue;
        const [x, y] = toScreen(n), far = (x - px) ** 2 + (y - py) ** 2;
        if (far < least || (far === least && n > best)) { best = n; least = far; }
      }
    }
    return best;
  };
  const open = async (n) => {
    chosen = n;
    place();
    if (n < 0) return;
    try {
      const about = (await load("points", Math.floor(n / data.part)))[n % data.part];
      if (chosen !== n) return;
      const { made, put } = stamp(one("#about"));
      put.title.textContent = about.name;
      if (about.caption) put.caption.append(isolated(about.caption));
      hang(put.mat, about.picture, "No small copy is kept of this picture.", about.unsafe, about.name);
      for (const [name, value] of about.facts) put.facts.append(element("dt", name), element("dd", value));
      detail.replaceChildren(made);
    } catch (error) { fail(error.message); }
  };

  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, event); moved = 0; });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.offsetX - before.offsetX, dy = event.offsetY - before.offsetY;
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 1) move(dx, dy);
    else {
      const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
      const apart = (a) => Math.hypot(a.offsetX - other.offsetX, a.offsetY - other.offsetY) || 1;
      zoom(apart(event) / apart(before), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
    }
    pointers.set(event.pointerId, event);
  });
  canvas.addEventListener("pointerup", (event) => { pointers.delete(event.pointerId); if (moved < 6) open(nearest(event.offsetX, event.offsetY, 14)); });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY); }, { passive: false });
  const keys = {
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: whole,
    Enter: () => open(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Math.max(canvas.clientWidth, canvas.clientHeight))),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  one("#in").addEventListener("click", () => zoom(1.5));
  one("#out").addEventListener("click", () => zoom(1 / 1.5));
  one("#all").addEventListener("click", whole);
  new ResizeObserver(redraw).observe(canvas);

  const plain = (text) => text.normalize("NFKC").toLowerCase();
  const filter = (from = 0) => {
    const kinds = controls.kind.value, words = plain(controls.concept.value.trim()), of = controls.licence.value;
    const exact = data.concepts.findIndex((name) => plain(name) === words);
    const named = words ? new Set(exact >= 0 ? [exact] : data.concepts.flatMap((name, n) => (plain(name).includes(words) ? [n] : []))) : null;
    const fits = new Set(kinds.split(" ").map(Number));
    if (!from) shown = 0;
    for (let n = from; n < known; n += 1) {
      const fit = (!kinds || fits.has(kind[n])) && (!named || named.has(concept[n])) && (of === "" || (licence[n] === Number(of) && kind[n] < GENERATION));
      hidden[n] = fit ? 0 : 1;
      if (fit) shown += 1;
    }
    paint(from, known);
    if (chosen >= 0 && hidden[chosen]) { chosen = -1; }
    status.textContent = known < total ? `Reading ${number(known)} of ${number(total)} points` : `${counted(shown, "point")} of ${number(total)}`;
    redraw();
  };
  for (const control of Object.values(controls)) control.addEventListener("input", () => filter());

  const bytes = (text) => {
    const read = atob(text), made = new Uint8Array(read.length);
    for (let n = 0; n < read.length; n += 1) made[n] = read.charCodeAt(n);
    return made;
  };
  const read = async () => {
    for (let part = 0; known < total; part += 1) {
      const columns = await load("places", part), from = known;
      const places = new Uint16Array(bytes(columns.at).buffer);
      at.set(places, 2 * from);
      kind.set(bytes(columns.kind), from);
      concept.set(new Uint16Array(bytes(columns.concept).buffer), from);
      licence.set(bytes(columns.licence), from);
      known += places.length / 2;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.at);
      gl.bufferSubData(gl.ARRAY_BUFFER, 4 * from, places);
      filter(from);
      await new Promise(requestAnimationFrame);
    }
    canvas.dataset.ready = "yes";
  };
  filter();
  read().catch((error) => fail(error.message));
})();
