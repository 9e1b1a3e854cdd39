/** A form made from the JSON schema of a workflow's parameters. */

import { image, request } from "./api.js";

const SIZES = [[1024, 1024], [1152, 896], [1216, 832], [1344, 768], [1536, 640]]; // SDXL was trained on these
const NAMES = { cfg: "CFG", loras: "LoRAs", batch: "Images" };
const LONG_TEXT = 255;
const SLIDER_SPAN = 4; // a bounded real number that spans no more is a slider
const SLIDER_STEP = 0.05;

/** Return an element; properties are set, not attributes, so nothing from the server is read as HTML. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Return the name of a parameter for a person. */
function title(name) {
  const words = name.replaceAll("_", " ");
  return NAMES[name] ?? words[0].toUpperCase() + words.slice(1);
}

/** Return the schema without the `null` that it may allow beside a value. */
function valued(schema) {
  return { ...schema, ...schema.anyOf?.find((each) => each.type !== "null") };
}

/** Whether the parameter is an image that was uploaded: of all strings, only their names have a pattern. */
export const isImage = (schema) => schema.type === "string" && "pattern" in schema;

/** The fields of one workflow. `get` and `set` of a field are its value's; `undefined` leaves it to the gateway. */
export class Form {
  #fields = new Map();

  constructor(container, schema) {
    const main = [];
    const more = [];
    const required = new Set(schema.required);
    for (const [name, each] of Object.entries(schema.properties)) {
      const field = this.#field(name, valued(each));
      ((each.enum || name === "batch") && !required.has(name) ? more : main).push(field);
    }
    main.sort((a, b) => b.classList.contains("image") - a.classList.contains("image"));
    container.replaceChildren(element("div", { className: "grid" }, ...main));
    if (this.#fields.has("width") && this.#fields.has("height")) this.#presets(schema.properties);
    if (more.length) {
      const rest = element("div", { className: "grid" }, ...more);
      container.append(element("details", {}, element("summary", { textContent: "More" }), rest));
    }
  }

  /** Return the parameters as they stand. */
  get values() {
    return Object.fromEntries([...this.#fields].map(([name, { get }]) => [name, get()]));
  }

  /** Fill in those parameters that the form has. */
  fill(values) {
    for (const [name, value] of Object.entries(values)) {
      if (value !== undefined) this.#fields.get(name)?.set(value);
    }
  }

  /** Show each problem at its field and go to the first; return the problems of no field. */
  complain(problems) {
    for (const each of this.#fields.values()) each.complain("");
    const known = (path) => this.#fields.get(path) ?? this.#fields.get(path.split(".")[0]);
    for (const { field, message } of problems) known(field)?.complain(message, field);
    const first = problems.map(({ field }) => known(field)).find(Boolean);
    first?.control.closest("details")?.setAttribute("open", "");
    first?.control.focus();
    return problems.filter(({ field }) => !known(field));
  }

  #field(name, schema) {
    if (schema.type === "object") return this.#sliders(name, schema);
    if (isImage(schema)) return this.#image(name, schema);
    if (schema.type === "boolean") return this.#switch(name, schema);
    const number = schema.type === "integer" || schema.type === "number";
    if (schema.type === "number" && schema.maximum - schema.minimum <= SLIDER_SPAN) return this.#slider(name, schema);
    const long = schema.type === "string" && !schema.enum && !(schema.maxLength <= LONG_TEXT);
    let control;
    if (schema.enum) {
      control = element("select", {}, ...schema.enum.map((each) => new Option(each)));
    } else if (long) {
      control = element("textarea", { rows: name === "prompt" ? 4 : 2, placeholder: schema.description ?? "" });
    } else {
      control = element("input", {
        type: number ? "number" : "text",
        step: number ? (schema.multipleOf ?? (schema.type === "integer" ? 1 : "any")) : "",
        min: schema.minimum ?? "",
        max: schema.maximum ?? "",
        placeholder: name === "seed" ? "random" : "",
      });
    }
    const get = number
      ? () => (control.value || control.validity.badInput ? Number(control.value || NaN) : undefined)
      : () => control.value;
    const set = (value) => {
      control.value = value ?? "";
      control.dispatchEvent(new Event("input"));
    };
    const quiet = long || ["width", "height", "seed"].includes(name);
    const inside = name === "seed" ? [this.#seed(control)] : [control];
    const field = this.#add(name, title(name), control, get, set, quiet ? "" : schema.description, inside);
    field.classList.toggle("wide", long || name === "seed" || schema.type === "string" && !schema.enum);
    set(schema.default);
    return field;
  }

  #add(name, label, control, get, set, hint, inside) {
    control.id = `field-${name}`;
    const error = element("p", { className: "error", id: `${control.id}-error`, hidden: true });
    control.setAttribute("aria-describedby", error.id);
    const complain = (message) => {
      error.textContent = message;
      error.hidden = !message;
      control.setAttribute("aria-invalid", String(Boolean(message)));
    };
    control.addEventListener("input", () => complain(""));
    this.#fields.set(name, { control, get, set, complain });
    const said = hint ? [element("p", { className: "hint", textContent: hint })] : [];
    const head = element("label", { htmlFor: control.id, textContent: label });
    return element("div", { className: "field" }, head, ...inside, error, ...said);
  }

  #seed(control) {
    const draw = element("button", { type: "button", textContent: "Random" });
    draw.addEventListener("click", () => {
      control.value = "";
      control.dispatchEvent(new Event("input"));
    });
    const show = () => draw.toggleAttribute("disabled", !control.value);
    control.addEventListener("input", show);
    return element("div", { className: "joined" }, control, draw);
  }

  /** Put a choice of usual sizes before width and height, which show only where the size is free. */
  #presets({ width, height }) {
    const allows = (side, { minimum, maximum, multipleOf = 1 }) => side >= minimum && side <= maximum && side % multipleOf === 0;
    const fits = ([w, h]) => allows(w, width) && allows(h, height);
    const sizes = SIZES.flatMap(([w, h]) => (w === h ? [[w, h]] : [[w, h], [h, w]])).filter(fits);
    const shape = ([w, h]) => (w === h ? "square" : w > h ? "landscape" : "portrait");
    const options = sizes.map((each) => new Option(`${each.join(" × ")} ${shape(each)}`, each.join()));
    const select = element("select", { id: "size" }, ...options, new Option("free", ""));
    const sides = [this.#fields.get("width"), this.#fields.get("height")];
    const show = () => {
      for (const { control } of sides) control.closest(".field").hidden = select.value !== "";
    };
    select.addEventListener("change", () => {
      const size = select.value.split(",");
      if (size.length === 2) sides.forEach((side, place) => side.set(Number(size[place])));
      show();
      if (size.length !== 2) sides[0].control.focus();
    });
    const match = (event) => {
      if (event?.isTrusted) return (select.value = ""); // what is being typed does not vanish
      select.value = sides.map(({ get }) => get()).join();
      if (select.selectedIndex < 0) select.value = "";
      show();
    };
    for (const { control } of sides) control.addEventListener("input", match);
    match();
    const field = element("div", { className: "field wide" }, element("label", { htmlFor: "size", textContent: "Size" }), select);
    sides[0].control.closest(".field").before(field);
  }

  #slider(name, schema, label = title(name)) {
    // a slider steps from its minimum: 0.01 would make 0.06, 0.11
    const min = Math.floor(schema.minimum / SLIDER_STEP) * SLIDER_STEP;
    const control = element("input", { type: "range", min, max: schema.maximum, step: SLIDER_STEP });
    const shown = element("output");
    let exact; // what was filled in need not be on a step
    const get = () => Math.max(schema.minimum, exact);
    const set = (value) => {
      exact = value;
      control.value = value;
      shown.textContent = value.toFixed(2);
    };
    control.addEventListener("input", () => set(Number(control.value)));
    const row = element("div", { className: "slide" }, control, shown);
    const field = this.#add(name, label, control, get, set, schema.description, [row]);
    field.classList.add("wide");
    set(schema.default ?? schema.minimum);
    return field;
  }

  #sliders(name, schema) {
    const inner = Object.entries(schema.properties ?? {});
    const paths = inner.map(([each]) => `${name}.${each}`);
    const sliders = inner.map(([each, of], at) => this.#slider(paths[at], of, each));
    if (!inner.length) return element("div", { hidden: true });
    const parts = paths.map((path) => this.#fields.get(path));
    for (const path of paths) this.#fields.delete(path);
    this.#fields.set(name, {
      control: parts[0].control,
      get: () => Object.fromEntries(inner.map(([each], at) => [each, parts[at].get()])),
      set: (values) => parts.forEach((part, at) => part.set(values[inner[at][0]] ?? 0)),
      complain: (message, path) => {
        const at = paths.indexOf(path);
        if (message) parts[Math.max(at, 0)].complain(message);
        else for (const part of parts) part.complain("");
      },
    });
    return element("fieldset", { className: "wide" }, element("legend", { textContent: title(name) }), ...sliders);
  }

  #switch(name, schema) {
    const control = element("input", { type: "checkbox" });
    const get = () => control.checked;
    const set = (value) => (control.checked = value);
    const field = this.#add(name, title(name), control, get, set, schema.description, [control]);
    field.classList.add("wide", "switch");
    set(schema.default ?? false);
    return field;
  }

  #image(name, schema) {
    const control = element("input", { type: "file", accept: "image/*" });
    const shown = element("img", { alt: "", hidden: true });
    const said = element("span", { textContent: "Choose an image, or drop one here" });
    const zone = element("label", { className: "drop" }, control, shown, said);
    let id;
    const show = (blob, text) => {
      URL.revokeObjectURL(shown.src);
      shown.src = URL.createObjectURL(blob);
      shown.hidden = false;
      said.textContent = text;
    };
    const set = async (value) => {
      id = value;
      show(await image(`/images/${value}`, "image/webp"), "Choose another");
    };
    const complain = (message) => this.#fields.get(name).complain(message);
    const upload = async (file) => {
      if (!file) return;
      id = undefined;
      complain("");
      show(file, "Sending…");
      try {
        const headers = { "Content-Type": file.type || "application/octet-stream" };
        const answer = await request("/uploads", { method: "POST", headers, body: file });
        const kept = await answer.json();
        id = kept.image;
        said.textContent = `${kept.width} × ${kept.height}. Choose another`;
      } catch (error) {
        shown.hidden = true;
        said.textContent = "Choose an image, or drop one here";
        complain(error.message);
      }
    };
    control.addEventListener("change", () => upload(control.files[0]));
    for (const kind of ["dragover", "dragleave", "drop"]) {
      zone.addEventListener(kind, (event) => {
        event.preventDefault();
        zone.classList.toggle("over", kind === "dragover");
        if (kind === "drop") upload(event.dataTransfer.files[0]);
      });
    }
    const safely = (value) => set(value).catch((error) => complain(error.message));
    const field = this.#add(name, title(name), control, () => id, safely, "", [zone]);
    field.classList.add("wide", "image");
    return field;
  }
}
