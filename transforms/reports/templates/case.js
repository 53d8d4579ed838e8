// Blends the source into the generation.
for (const control of document.querySelectorAll(".slide input")) {
  const above = control.closest("figure").querySelector(".above");
  const show = () => { above.style.opacity = control.value / 100; };
  control.addEventListener("input", show);
  show();
}
