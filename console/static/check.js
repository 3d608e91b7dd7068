// A form whose fields are checked 400 ms after typing: the server's words are shown beside them.
"use strict";

(() => {
  const form = document.querySelector("[data-check]");
  if (!form) return;
  const into = document.getElementById(form.dataset.into);
  let timer = 0;
  let asked = 0;
  async function check() {
    const mine = ++asked;
    const answer = await fetch(form.dataset.check, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-CSRF-Token": form.dataset.csrf },
    });
    const text = await answer.text();
    if (mine !== asked) return; // an older answer came late
    if (answer.ok) into.innerHTML = text; // our own template, which escapes what others wrote
    else into.textContent = text;
  }
  form.addEventListener("input", (event) => {
    if (!event.target.matches("[data-asks]")) return;
    clearTimeout(timer);
    timer = setTimeout(check, 400);
  });
  if ([...form.querySelectorAll("[data-asks]")].every((field) => field.value)) check();
})();
