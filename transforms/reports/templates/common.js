// What all pages do: show a picture that is marked unsafe when asked to.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.reveal");
  if (!button) return;
  const veil = button.closest(".veiled, .unveiled");
  const shown = veil.classList.toggle("unveiled");
  veil.classList.toggle("veiled", !shown);
  button.setAttribute("aria-pressed", String(shown));
});
