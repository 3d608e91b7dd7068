// What every page of the console does: its parts stay quiet while nobody looks, times are said again, and dialogs open.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  let held = false; // the person, or the end of the session, holds the page still: nothing is asked
  let busy = false; // and nothing is asked while a job is moved

  // -- the reader's zone: the server writes all times in it
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && document.body.dataset.zone !== zone && !document.cookie.includes(`quotejob_zone=${zone}`)) {
    const where = window.top === window ? "samesite=lax" : "samesite=none; secure; partitioned"; // in a tab of the org
    document.cookie = `quotejob_zone=${zone}; path=/console; max-age=31536000; ${where}`;
    if (document.cookie.includes(`quotejob_zone=${zone}`)) location.reload();
  }

  // -- parts
  const live = $("live");
  let last = new Date();
  let lost = false; // no part gets an answer
  function tell() {
    if (!live) return;
    const still = held || busy;
    live.classList.toggle("off", still || lost);
    live.setAttribute("aria-pressed", String(!still));
    live.querySelector(".lt").textContent = still ? "Held still" : lost ? "No news" : "Live";
  }
  window.consoleBusy = (now) => {
    busy = now;
    tell();
  };
  if (live) live.addEventListener("click", () => { held = !held; tell(); });

  document.addEventListener("htmx:before:request", (event) => {
    if (event.target.matches("[data-live]") && (held || busy || document.hidden)) event.preventDefault();
  });
  document.addEventListener("htmx:after:request", (event) => {
    const status = event.detail.ctx.response.status;
    if (status < 400) {
      last = new Date();
      $("trouble").hidden = true;
      lost = false;
      tell();
    } else {
      event.preventDefault(); // the part keeps what it shows
      trouble(status);
    }
  });
  document.addEventListener("htmx:error", () => trouble(0));
  document.addEventListener("htmx:after:swap", () => { said(); count(); });

  // What needs all jobs is asked for when the page has all its files: meanwhile it would only make them wait.
  window.addEventListener("load", () => setTimeout(() => { // htmx begins by a timeout too, which was set before
    for (const part of document.querySelectorAll("[hx-trigger=later]")) part.dispatchEvent(new Event("later"));
  }));

  function trouble(status) {
    const box = $("trouble");
    const at = last.toLocaleTimeString([], { hour12: false });
    box.querySelector("p").textContent =
      status === 401
        ? "Your session has ended. Jobs go on without you, and what you typed is kept in this tab."
        : `No news since ${at}. What you see may be old.`;
    box.querySelector(".acts > *").hidden = status !== 401;
    box.hidden = false;
    lost = true;
    if (status === 401) held = true;
    tell();
  }

  // -- relative times, by the rules of words.py
  function lasting(seconds) {
    const whole = Math.floor(Math.abs(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h`;
    return whole < 172800 ? "1 day" : `${Math.floor(whole / 86400)} days`;
  }
  function said() {
    for (const time of document.querySelectorAll("time.relative")) {
      const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
      time.textContent = seconds >= 0 ? `in ${lasting(seconds)}` : `${lasting(seconds)} ago`;
    }
  }
  setInterval(said, 1000);

  // -- dialogs
  document.addEventListener("click", (event) => {
    const ask = event.target.closest("[data-ask]");
    if (ask) $(ask.dataset.ask).showModal();
    const close = event.target.closest("[data-close]");
    if (close) close.closest("dialog").close();
  });

  // -- the list of jobs: ticks and keys
  function count() {
    const bulk = $("bulk");
    if (!bulk) return;
    const boxes = [...document.querySelectorAll("#rows input")];
    for (const box of boxes) box.closest("tr").classList.toggle("sel", box.checked); // a new answer has no such class
    const ticked = boxes.filter((box) => box.checked).map((box) => box.closest("tr"));
    const ended = ticked.filter((row) => ["Failed", "Aborted"].includes(row.dataset.status)).length;
    const alive = ticked.filter((row) => !["Failed", "Aborted", "Completed"].includes(row.dataset.status)).length;
    bulk.hidden = !ticked.length;
    bulk.querySelector("b").textContent = `${ticked.length} selected`;
    const [resume, abort] = bulk.querySelectorAll("button");
    if (!resume) return;
    resume.textContent = `Resume ${ended} Failed or Aborted`;
    abort.textContent = `Abort ${alive}…`;
    resume.disabled = !ended;
    abort.disabled = !alive;
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("#rows input")) count();
  });
  count();

  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input,select,textarea,dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...document.querySelectorAll("#rows tr[data-status]")];
    const now = rows.findIndex((row) => row.contains(document.activeElement));
    const link = (row) => row && row.querySelector("a.nm").focus();
    if (event.key === "?" && $("help")) $("help").showModal();
    if (event.key === "/" && $("q")) { event.preventDefault(); $("q").focus(); }
    if (event.key === "j") link(rows[Math.min(now + 1, rows.length - 1)]);
    if (event.key === "k") link(rows[Math.max(now - 1, 0)]);
    if (event.key === "x" && now >= 0) rows[now].querySelector("input").click();
  });
})();
