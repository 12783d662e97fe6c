/** The button beside a password field shows what is typed, and hides it again, at the latest when the form is sent. */
function reveal(button, shown) {
  const input = document.getElementById(button.dataset.shows);
  input.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
}

for (const button of document.querySelectorAll("[data-shows]")) {
  button.hidden = false;
  button.addEventListener("click", () => reveal(button, button.getAttribute("aria-pressed") !== "true"));
  // Browsers offer to complete what was sent as plain text.
  button.form.addEventListener("submit", () => reveal(button, false));
  // A page that comes back from the browser's cache keeps its scripts' state.
  window.addEventListener("pagehide", () => reveal(button, false));
}
