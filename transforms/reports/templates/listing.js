// Drawing what a listing holds, page by page. Strangers' words are set as text, never as markup.
const one = (selector, within = document) => within.querySelector(selector);
const number = (value) => value.toLocaleString("en");
const counted = (value, noun, many = `${noun}s`) => `${number(value)} ${value === 1 ? noun : many}`;
const element = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const isolated = (text) => Object.assign(element("li", text), { dir: "auto" });
const stamp = (template) => {
  const made = template.content.firstElementChild.cloneNode(true);
  const put = Object.fromEntries(Array.from(made.querySelectorAll("[data-put]"), (part) => [part.dataset.put, part]));
  return { made, put };
};
const shareText = (part, whole) => `${Math.round((1000 * part) / whole) / 10}%`;

// Shows a picture in its mat, or says why there is none; veils what the dataset marks unsafe.
const hang = (mat, source, why, unsafe, label) => {
  const image = one("img", mat), unread = one(".unread", mat), button = one(".reveal", mat);
  image.hidden = !source;
  unread.hidden = Boolean(source);
  unread.textContent = why;
  if (source) image.src = source; else image.removeAttribute("src");
  mat.classList.remove("unveiled");
  mat.classList.toggle("veiled", Boolean(source) && unsafe);
  button.hidden = !source || !unsafe;
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `Show ${label}, which is marked unsafe`);
};

// Pages of a listing: `turn(n)` is called with the page to draw.
const pager = (size, turn) => {
  const bar = one(".pager"), back = one("#back"), on = one("#on"), place = one("#place");
  let at = 0, pages = 1;
  const draw = (moved) => {
    bar.hidden = pages < 2;
    back.disabled = at === 0;
    on.disabled = at === pages - 1;
    place.textContent = `Page ${number(at + 1)} of ${number(pages)}`;
    return turn(at, moved);
  };
  back.addEventListener("click", () => { at -= 1; draw(true); });
  on.addEventListener("click", () => { at += 1; draw(true); });
  return {
    begin: (entries, first = 0) => {
      pages = Math.max(1, Math.ceil(entries / size));
      at = Math.min(Math.max(first, 0), pages - 1);
      return draw(false);
    },
  };
};
