/** The page: what to make, the image that is made or looked at, and those made before. */

import { events, image, json, token } from "./api.js";
import { element, Form, isImage } from "./form.js";

const ENDED = ["done", "failed", "cancelled"];
const REFRESH_MS = 3000;
const RETRY_MS = 5000;

const at = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const money = (dollars) => `$${dollars.toFixed(4)}`;

let workflows = new Map();
let canEnhance = false;
let form;
let price = null;
const jobs = new Map(); // the newest last
const tiles = new Map();
let selected = { id: null, index: 0 };
let following = new AbortController();

function show(node, text) {
  node.textContent = text ?? "";
  node.hidden = !text;
}

// What to make

function choose(name) {
  const workflow = workflows.get(name);
  const before = form?.values ?? {};
  at("workflow").value = name;
  at("about").textContent = workflow.description;
  const schema = structuredClone(workflow.schema);
  if (canEnhance && schema.properties.prompt) {
    schema.properties.enhance = { type: "boolean", default: false, description: "let a language model write the prompt out" };
  }
  form = new Form(at("fields"), schema);
  form.fill(before);
  show(at("problem"), "");
}

function complain(error) {
  const rest = form.complain(error.problems ?? []);
  const lost = error.problems?.length ? rest.map((each) => each.message) : [error.message];
  show(at("problem"), lost.join(" "));
}

async function generate(event) {
  event.preventDefault();
  at("generate").disabled = true;
  show(at("problem"), "");
  form.complain([]);
  try {
    const job = await json("/jobs", { workflow: at("workflow").value, ...form.values });
    jobs.set(job.id, job);
    select(job.id);
    at("frame").scrollIntoView({ block: "nearest" });
  } catch (error) {
    complain(error);
  } finally {
    at("generate").disabled = false;
  }
}

// The image that is made or looked at

const current = () => jobs.get(selected.id);
const currentImage = () => current()?.images[selected.index];

function select(id, index = 0) {
  following.abort();
  following = new AbortController();
  selected = { id, index };
  const picture = at("picture");
  picture.hidden = true;
  const { width, height } = currentImage() ?? current().parameters;
  at("frame").style.aspectRatio = width && height ? `${width} / ${height}` : "";
  showStage();
  showGallery();
  if (ENDED.includes(current().state)) showImage();
  else follow(id, following.signal);
}

function put(source, { width, height } = {}) {
  const picture = at("picture");
  if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  picture.src = source;
  picture.alt = current().parameters.prompt ?? current().workflow;
  picture.hidden = false;
  if (width) at("frame").style.aspectRatio = `${width} / ${height}`;
}

async function showImage() {
  const wanted = currentImage();
  if (!wanted) return;
  try {
    const blob = await image(wanted.url, "image/png");
    if (wanted === currentImage()) put(URL.createObjectURL(blob), wanted);
  } catch (error) {
    if (wanted === currentImage()) show(at("failure"), error.message);
  }
}

function summary({ state, position, seconds, cost, images }) {
  if (state === "queued") return position ? `Waiting, ${position} before it` : "Waiting, next in line";
  if (state === "running") return "Drawing";
  if (state === "failed") return "Failed";
  if (state === "cancelled") return "Cancelled";
  const { width, height, seed } = images[selected.index];
  const time = seconds === null ? "Done" : `Done in ${seconds.toFixed(1)} s`;
  const parts = [time, cost !== null && money(cost), `${width} × ${height}`];
  if (Number.isInteger(seed)) parts.push(`seed ${seed}`);
  return parts.filter(Boolean).join(", ");
}

function showStage() {
  const job = current();
  const { state, parameters } = job;
  const said = summary(job);
  if (at("status").textContent !== said) at("status").textContent = said;
  at("empty").hidden = true;
  showProgress(state === "running" ? job.progress : null, state === "running");
  show(at("failure"), job.error?.message);
  show(at("prompt-said"), parameters.prompt);
  at("cancel").hidden = ENDED.includes(state);
  at("download").hidden = at("reuse").hidden = state !== "done";
  at("start").hidden = state !== "done" || !starter();
  at("reuse-seed").hidden = !Number.isInteger(currentImage()?.seed);
}

function showProgress(progress, running = true) {
  const bar = at("progress");
  bar.hidden = !running;
  if (progress) Object.assign(bar, { max: progress.max, value: progress.value });
  else bar.removeAttribute("value");
  at("step").textContent = progress ? `${progress.value} of ${progress.max}` : "";
}

/** Follow a job to its end, over however many connections. */
async function follow(id, signal) {
  while (!signal.aborted) {
    try {
      for await (const [kind, data] of events(`/jobs/${id}/events`, signal)) {
        if (signal.aborted) return;
        if (kind === "progress") showProgress(data);
        else if (kind === "preview") put(`data:${data.mime};base64,${data.data}`);
        else {
          jobs.set(id, data);
          showStage();
          showGallery();
          if (ENDED.includes(kind)) return showImage();
        }
      }
    } catch (error) {
      if (signal.aborted || (error.status >= 400 && error.status < 500)) return;
    }
    await sleep(REFRESH_MS);
  }
}

async function cancel() {
  try {
    const job = await json(`/jobs/${selected.id}`, null, "DELETE");
    jobs.set(job.id, job);
    showStage();
  } catch (error) {
    show(at("failure"), error.message);
  }
}

async function download() {
  try {
    const { url } = currentImage();
    const href = URL.createObjectURL(await image(`${url}?download=1`, "image/png"));
    const name = `${url.split("/").pop()}.png`;
    element("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), RETRY_MS);
  } catch (error) {
    show(at("failure"), error.message);
  }
}

function reuse() {
  const { workflow, parameters } = current();
  if (workflows.has(workflow)) choose(workflow);
  form.fill(parameters);
  at("workflow").scrollIntoView({ block: "nearest" });
}

/** Return the workflow and parameter that an image can start, if there is one. */
function starter() {
  for (const { name, schema } of workflows.values()) {
    const found = Object.entries(schema.properties).find(([, each]) => isImage(each));
    if (found) return [name, found[0]];
  }
}

function start() {
  const [name, parameter] = starter();
  const id = currentImage().url.split("/").pop();
  const { prompt, negative_prompt, width, height } = current().parameters;
  choose(name);
  form.fill({ prompt, negative_prompt, width, height, [parameter]: id });
  at("workflow").scrollIntoView({ block: "nearest" });
}

// Those made before

async function refresh() {
  for (const job of (await json("/jobs")).jobs.reverse()) {
    if (job.id !== selected.id || ENDED.includes(job.state)) jobs.set(job.id, job);
  }
  showGallery();
}

function showGallery() {
  const shown = [...jobs.values()].sort((a, b) => b.created - a.created).flatMap((job) =>
    job.state === "cancelled" ? [] : job.state === "done" ? job.images.map((_, index) => [job, index]) : [[job, 0]],
  );
  const wanted = new Set(shown.map(([job, index]) => `${job.id} ${job.state} ${index}`));
  for (const [key, tile] of tiles) {
    if (!wanted.has(key)) {
      tile.remove();
      tiles.delete(key);
    }
  }
  shown.forEach(([job, index], place) => {
    const key = `${job.id} ${job.state} ${index}`;
    if (!tiles.has(key)) tiles.set(key, makeTile(job, index));
    const tile = tiles.get(key);
    const isSelected = job.id === selected.id && index === selected.index;
    tile.firstChild.setAttribute("aria-current", String(isSelected));
    if (at("gallery").children[place] !== tile) at("gallery").insertBefore(tile, at("gallery").children[place] ?? null);
  });
  at("past").hidden = !shown.length;
  const spent = [...jobs.values()].reduce((sum, { cost }) => sum + (cost ?? 0), 0);
  at("account").textContent = price === null ? "" : `${money(spent)} so far, $${price.toFixed(2)}/h`;
}

function makeTile({ id, state, images, parameters, workflow }, index) {
  const words = { queued: "waiting", running: "drawing", failed: "failed" };
  const label = parameters.prompt || workflow;
  const button = element("button", { type: "button", className: `tile ${state}`, title: label });
  button.setAttribute("aria-label", state === "done" ? label : `${words[state]}: ${label}`);
  button.addEventListener("click", () => {
    select(id, index);
    at("frame").scrollIntoView({ block: "nearest" });
  });
  const tile = element("li", {}, button);
  if (state === "done") {
    tile.source = images[index].url;
    nearby.observe(tile);
  } else button.textContent = words[state];
  return tile;
}

const nearby = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      fillTile(target.firstChild, target.source);
    }
  },
  { rootMargin: "300px" },
);

async function fillTile(button, url) {
  try {
    const src = URL.createObjectURL(await image(url, "image/webp"));
    const shown = element("img", { src, alt: "" });
    shown.addEventListener("load", () => URL.revokeObjectURL(src), { once: true });
    button.replaceChildren(shown);
  } catch (error) {
    button.textContent = error.status === 410 || error.status === 404 ? "expired" : "not loaded";
  }
}

// The whole

function ask(why) {
  at("leave").hidden = true;
  at("ask-why").textContent = why ?? "";
  if (!at("ask").open) at("ask").showModal();
  at("token").focus();
}

async function enter() {
  try {
    const who = await json("/whoami");
    const offered = (await json("/workflows")).workflows;
    price = who.price;
    canEnhance = who.enhance;
    workflows = new Map(offered.map((each) => [each.name, each]));
    const before = at("workflow").value;
    at("workflow").replaceChildren(...offered.map(({ name }) => new Option(name.replaceAll("-", " "), name)));
    if (at("ask").open) at("ask").close();
    at("token").value = "";
    at("leave").hidden = false;
    choose(workflows.has(before) ? before : offered[0].name);
    at("form").hidden = false;
    jobs.clear();
    await refresh();
    const open = [...jobs.values()].filter((job) => !ENDED.includes(job.state)).pop();
    const latest = open ?? [...jobs.values()].filter((job) => job.state === "done").pop();
    if (latest) select(latest.id);
  } catch (error) {
    if (error.status !== 401) ask(error.message);
  }
}

/** See every few seconds to what nothing tells of: whether images can be made, and jobs that are not followed. */
async function watch() {
  for (;;) {
    const answer = await fetch("/ready").catch(() => null);
    const body = answer?.ok === false ? await answer.json().catch(() => null) : null;
    show(at("notice"), answer?.ok ? "" : (body?.error?.message ?? "The gateway cannot be reached."));
    await sleep(RETRY_MS);
    const open = [...jobs.values()].some((job) => job.id !== selected.id && !ENDED.includes(job.state));
    if (open && token.get()) await refresh().catch(() => {});
  }
}

window.addEventListener("refused", ({ detail }) => ask(detail));
at("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(at("token").value);
  enter();
});
at("ask").addEventListener("cancel", (event) => event.preventDefault());
at("leave").addEventListener("click", () => {
  token.forget();
  location.reload();
});
at("workflow").addEventListener("change", () => choose(at("workflow").value));
at("form").addEventListener("submit", generate);
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("cancel").addEventListener("click", cancel);
at("download").addEventListener("click", download);
at("reuse-seed").addEventListener("click", () => form.fill({ seed: currentImage().seed }));
at("reuse").addEventListener("click", reuse);
at("start").addEventListener("click", start);
watch();
if (token.get()) enter();
else ask();
