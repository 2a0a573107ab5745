"use strict";
// What is on the page: an image, its code, what the code decodes to, and their neighbours.

const element = id => document.getElementById(id);
const [channels, height, width] = told.shape;
const size = channels * height * width;
const binary = told.variables[0].values.length === 2;
const hard = told.threshold !== null;  // pixels are 0 or 1
const imageBytes = bytesOf(told.images);
const MOST_CHANGES = 64, FIRST_IMAGES = 40, NEAREST = 12;
const blank = () => new Float32Array(size).fill(told.ink ? 0 : 1);
const pixelsOf = index =>
  Float32Array.from(imageBytes.subarray(index * size, (index + 1) * size), byte => byte / 255);
const percent = share => share > 0.995 ? "> 99 %" : share < 0.005 ? "< 1 %"
  : `${Math.round(100 * share)} %`;
const drawable = () => !told.lacking;

// All that is shown: pixels were encoded to `found`, and values and gaussian are the code now.
const state = {
  pixels: blank(), title: "", chosen: -1, found: null, values: [], gaussian: zeros(),
  decoded: null, active: 0, erasing: false, cursor: [width >> 1, height >> 1],
};

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function paint(canvas, pixels) {
  const area = height * width, image = new ImageData(width, height);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const value = pixels[(channels === 3 ? c * area : 0) + i];
      image.data[4 * i + c] = Math.round(255 * (told.ink ? 1 - value : value));
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// --- The code ---------------------------------------------------------------------------------

function setImage(pixels, title, chosen = -1) {
  Object.assign(state, {pixels, title, chosen});
  paint(element("image"), pixels);
  state.found = encode(pixels, chosen < 0 ? null : told.codes[chosen]);
  if (state.found.values) restore();
  else setCode({});
}

const restore = () => setCode({
  values: [...state.found.values], gaussian: state.found.gaussian.slice(),
});

function setCode(changes) {
  Object.assign(state, changes);
  state.decoded = decode(state);
  paint(element("decoded"), state.decoded);
  showCode();
  galleries();
}

function setValue(variable, value) {
  setCode({values: state.values.map((old, i) => i === variable ? value : old), active: variable});
}

function randomCode() {
  const normal = () =>
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  setCode({
    values: told.variables.map(({values}) => Math.floor(Math.random() * values.length)),
    gaussian: zeros().map(normal),
  });
}

// --- Controls of the code -----------------------------------------------------------------------

const controls = told.variables.map((variable, i) => binary ? switchOf(variable, i)
  : sliderOf(variable.name, `variable-${i}`, {min: 0, max: variable.values.length - 1, step: 1},
    value => setValue(i, value)));
const dimensions = (told.gaussian ? told.gaussian.shown : []).map(dimension => sliderOf(
  `ε${dimension + 1}`, `dimension-${dimension}`,
  {min: -told.gaussian.reach, max: told.gaussian.reach, step: 0.1},
  value => setCode({gaussian: state.gaussian.map((old, d) => d === dimension ? value : old)})));

function switchOf({name}, i) {
  const note = make("small"), box = make("button", {type: "button", className: "switch"},
    make("span", {className: "name", textContent: name}), make("span", {className: "track"}), note);
  box.setAttribute("role", "switch");
  box.id = `variable-${i}`;
  box.addEventListener("click", () => setValue(i, 1 - state.values[i]));
  return {box, note};
}

function sliderOf(name, id, range, change) {
  const input = make("input", {type: "range", id, ...range}), note = make("small");
  const output = make("output"), label = make("label", {htmlFor: id, textContent: name});
  output.setAttribute("for", id);
  input.addEventListener("input", () => change(Number(input.value)));
  return {box: make("div", {className: "slider"}, label, input, output, note), input, output, note};
}

function showCode() {
  const {values, found} = state, known = found && found.values;
  told.variables.forEach((variable, i) => {
    const {box, note, input, output} = controls[i], word = variable.values[values[i]];
    if (binary) box.setAttribute("aria-checked", String(values[i] === 1));
    else {
      input.value = values[i];
      input.setAttribute("aria-valuetext", word);
      output.textContent = word;
      box.classList.toggle("active", controls.length > 1 && i === state.active);
    }
    note.textContent = known ? foundWords(variable, i) : "";
    box.classList.toggle("changed", Boolean(known) && found.values[i] !== values[i]);
  });
  dimensions.forEach(({input, output, box}, i) => {
    const value = state.gaussian[told.gaussian.shown[i]];
    input.value = value;
    output.textContent = value.toFixed(2).replace(/^-0.00$/, "0.00").replace("-", "−");
    box.classList.toggle("changed", Boolean(known) &&
      found.gaussian[told.gaussian.shown[i]] !== value);
  });
  element("image-title").textContent = state.title;
  element("restore").disabled = !known;
  element("found").textContent = summary();
}

// What the encoder says of a variable: its most probable values.
function foundWords({values: words}, i) {
  const {probabilities, values} = state.found;
  if (!probabilities) return `found: ${words[values[i]]}`;
  const shares = probabilities[i];
  if (binary) return `found: ${words[values[i]]} (${percent(shares[values[i]])})`;
  const best = shares.map((share, value) => [share, value]).sort((a, b) => b[0] - a[0])
    .slice(0, controls.length > 1 ? 1 : 3).filter(([share], rank) => rank === 0 || share > 0.005);
  return `found: ${best.map(([share, value]) => `${words[value]} (${percent(share)})`).join(", ")}`;
}

function summary() {
  const {found, values} = state;
  if (!found || !found.values) return "A code that was not encoded from an image.";
  const changed = values.filter((value, i) => value !== found.values[i]).length;
  const moved = state.gaussian.some((value, i) => value !== found.gaussian[i]);
  if (!changed && !moved) return "The most probable code of the image. Change it.";
  const parts = [];
  if (changed) parts.push(`${changed} of ${values.length} variable${values.length > 1 ? "s" : ""}`);
  if (moved) parts.push("the Gaussian code");
  return `Changed from what was found in the image: ${parts.join(" and ")}.`;
}

// --- Small images -------------------------------------------------------------------------------

// Shown while they are computed, some at a time; a later call ends an earlier one.
function gallery(id) {
  const box = element(id);
  let run = 0;
  box.addEventListener("keydown", event => {
    const all = [...box.children], at = all.indexOf(document.activeElement);
    const columns = all.filter(each => each.offsetTop === all[0].offsetTop).length;
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns,
      ArrowUp: at - columns, Home: 0, End: all.length - 1}[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = all[Math.min(Math.max(to, 0), all.length - 1)];
    all.forEach(each => { each.tabIndex = each === next ? 0 : -1; });
    next.focus();
  });
  return items => {
    const mine = ++run, old = [...box.children], focused = old.indexOf(document.activeElement);
    const made = items.map((item, i) => old[i] || box.appendChild(make("button", {
      type: "button", className: "thumb"}, make("canvas"), make("span"))));
    old.slice(items.length).forEach(each => each.remove());
    const tab = Math.max(0, focused < 0 ? items.findIndex(item => item.pressed) : focused);
    made.forEach((button, i) => {
      const {caption, name, pressed = false, choose} = items[i];
      button.lastChild.textContent = caption;
      button.lastChild.hidden = !caption;
      button.setAttribute("aria-label", name);
      button.setAttribute("aria-pressed", String(pressed));
      button.title = name;
      button.tabIndex = i === Math.min(tab, made.length - 1) ? 0 : -1;
      button.onclick = choose;
    });
    const next = i => {
      const end = performance.now() + 12;
      for (; i < items.length && performance.now() < end; i++)
        if (mine === run) paint(made[i].firstChild, items[i].pixels());
      if (i < items.length && mine === run) setTimeout(next, 0, i);
    };
    next(0);
  };
}

const showChanges = gallery("changes"), showNearest = gallery("nearest");
const showImages = gallery("images");
let waiting = 0;

function galleries() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    showChanges(changes());
    showNearest(nearest().map(({index, distance}) => ({
      caption: distance === 0 ? "same" : `${distance} differ${distance === 1 ? "s" : ""}`,
      name: `${nameOf(index)}, ${distance === 0 ? "the same code" : `${distance} of ` +
        `${state.values.length} variables differ`}`,
      pixels: () => pixelsOf(index),
      choose: () => choose(index),
    })));
    images();
  }, 60);
}

// One variable with every other value, or, where they are binary, each of them switched.
function changes() {
  const one = told.variables[state.active], n = told.variables.length;
  element("changes-title").textContent =
    binary || n === 1 ? "One change away" : `One change away: ${one.name}`;
  const all = binary ? n : one.values.length, count = Math.min(all, MOST_CHANGES);
  element("changes-note").textContent = (binary ? "The code decoded with one variable switched."
    : "The code decoded with every value of the variable" +
      (n > 1 ? " whose slider was moved last." : ".")) +
    (count < all ? ` The first ${count} of ${all}.` : "");
  return Array.from({length: count}, (_, i) => {
    const variable = binary ? i : state.active, value = binary ? 1 - state.values[i] : i;
    const {name, values} = told.variables[variable], word = values[value];
    const code = {gaussian: state.gaussian,
      values: state.values.map((old, j) => j === variable ? value : old)};
    return {
      caption: binary ? `${name} ${word}` : word,
      name: `${name} ${word}`,
      pressed: !binary && value === state.values[variable],
      pixels: () => decode(code),
      choose: () => setValue(variable, value),
    };
  });
}

// Embedded images by Hamming distance of their codes.
function nearest() {
  return told.codes.map((code, index) => {
    const distance = code.filter((value, i) => value !== state.values[i]).length;
    let difference = 0;
    for (let p = 0; p < size; p++)
      difference += (imageBytes[index * size + p] / 255 - state.decoded[p]) ** 2;
    return {index, distance, difference};
  }).sort((a, b) => a.distance - b.distance || a.difference - b.difference).slice(0, NEAREST);
}

const nameOf = index =>
  `Image ${index + 1}${told.labels ? `: ${told.labels[index]}` : ""}`;
const choose = index => setImage(pixelsOf(index), nameOf(index), index);

function images() {
  const count = element("more").hidden ? told.codes.length : FIRST_IMAGES;
  showImages(Array.from({length: count}, (_, index) => ({
    caption: told.labels && told.kind !== "attributes" ? told.labels[index] : "",
    name: nameOf(index),
    pressed: index === state.chosen,
    pixels: () => pixelsOf(index),
    choose: () => choose(index),
  })));
}

// --- Drawing ------------------------------------------------------------------------------------

const radius = Math.max(0.55, Math.min(height, width) / 22);

// A round brush; x and y count pixels from the middle of the first one.
function stamp(x, y) {
  const hex = element("colour").value, area = height * width;
  const colour = channels === 3 ? [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
    : [told.ink ? 1 : 0];
  for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) {
    const covered = Math.min(1, radius + 0.5 - Math.hypot(c - x, r - y));
    if (covered <= 0 || (hard && covered < 0.5)) continue;
    colour.forEach((value, channel) => {
      const at = channel * area + r * width + c, to = state.erasing ? (told.ink ? 0 : 1) : value;
      const share = hard ? 1 : covered;
      const ink = told.ink && !state.erasing && !hard;
      state.pixels[at] = ink ? Math.max(state.pixels[at], share)
        : state.pixels[at] + share * (to - state.pixels[at]);
    });
  }
}

let drawing = 0;
function drawn() {
  state.pixels = state.pixels.slice();
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => setImage(state.pixels, "Your image"));
}

function pointer() {
  const canvas = element("image");
  let last = null;
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * width - 0.5,
      (event.clientY - box.top) / box.height * height - 0.5];
  };
  const line = to => {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - last[0], to[1] - last[1]) / 0.3));
    for (let s = 1; s <= steps; s++)
      stamp(...last.map((value, i) => value + (to[i] - value) * s / steps));
    last = to;
    drawn();
  };
  canvas.addEventListener("pointerdown", event => {
    if (!drawable() || event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    line(last);
  });
  canvas.addEventListener("pointermove", event => {
    if (last) (event.getCoalescedEvents?.() || [event]).forEach(each => line(at(each)));
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => { last = null; });
}

function keyboard() {
  const canvas = element("image"), cursor = element("cursor");
  const show = () => {
    cursor.hidden = !drawable() || !canvas.matches(":focus-visible");
    const [x, y] = state.cursor;
    Object.assign(cursor.style, {left: `${100 * x / width}%`, top: `${100 * y / height}%`,
      width: `${100 / width}%`, height: `${100 / height}%`});
  };
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", show);
  canvas.addEventListener("keydown", event => {
    const [x, y] = state.cursor;
    const to = {ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1],
      ArrowDown: [x, y + 1]}[event.key];
    const draws = event.key === " ", erases = ["Backspace", "Delete"].includes(event.key);
    if (!drawable() || !(to || draws || erases)) return;
    event.preventDefault();
    if (to) state.cursor = [(to[0] + width) % width, (to[1] + height) % height];
    else {
      const before = state.erasing;
      state.erasing = erases;
      stamp(x, y);
      state.erasing = before;
      drawn();
    }
    show();
  });
}

// --- Pictures -----------------------------------------------------------------------------------

// The middle of a picture in the size of the model's images; of ink the darker part, on paper.
async function openPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    element("found").textContent = `${file.name} is no picture that this browser can read.`;
    return;
  }
  const canvas = make("canvas", {width, height});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const w = bitmap.width * scale, h = bitmap.height * scale;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  setImage(unit(context.getImageData(0, 0, width, height).data), file.name);
}

function unit(rgba) {
  const area = height * width, pixels = new Float32Array(size);
  for (let i = 0; i < area; i++) {
    const [r, g, b] = rgba.subarray(4 * i, 4 * i + 3);
    if (channels === 3) [r, g, b].forEach((value, c) => { pixels[c * area + i] = value / 255; });
    else pixels[i] = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  }
  if (told.ink) {
    const edge = pixels.filter((_, i) => i < width || i >= area - width || i % width === 0 ||
      i % width === width - 1);
    const paper = edge.reduce((a, b) => a + b, 0) / edge.length;
    if (paper > 0.5) pixels.forEach((value, i) => { pixels[i] = 1 - value; });
  }
  return hard ? pixels.map(value => value > told.threshold ? 1 : 0) : pixels;
}

function dropping() {
  const page = document.documentElement;
  const files = event => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  page.addEventListener("dragover", event => {
    if (!files(event)) return;
    event.preventDefault();
    page.classList.toggle("over", drawable());
  });
  page.addEventListener("dragleave", event => {
    if (!event.relatedTarget) page.classList.remove("over");
  });
  page.addEventListener("drop", event => {
    if (!files(event)) return;
    event.preventDefault();
    page.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file && drawable()) openPicture(file);
  });
}

// --- The page -----------------------------------------------------------------------------------

function brush(erasing) {
  state.erasing = erasing;
  element("draw").setAttribute("aria-pressed", String(!erasing));
  element("erase").setAttribute("aria-pressed", String(erasing));
}

function start() {
  const ratio = Math.min(3, Math.max(1 / 3, width / height));  // a table's row is one pixel high
  document.documentElement.style.setProperty("--ratio", ratio);
  element("variables").className = binary ? "switches" : "";
  element("variables").append(...controls.map(({box}) => box));
  element("dimensions").append(...dimensions.map(({box}) => box));
  element("gaussians").hidden = !told.gaussian;
  if (told.gaussian) {
    const {size: all, shown} = told.gaussian;
    element("dimensions-note").textContent = shown.length === all ? ""
      : `${shown.length} of ${all} dimensions: those that images use most.`;
  }
  controls.forEach(({input}, i) => input?.addEventListener("focus", () => {
    state.active = i;
    showCode();
    galleries();
  }));
  element("restore").onclick = restore;
  element("random").onclick = randomCode;
  element("draw").onclick = () => brush(false);
  element("erase").onclick = () => brush(true);
  element("clear").onclick = () => setImage(blank(), "Your image");
  element("open").onclick = () => element("file").click();
  element("file").onchange = ({target}) => {
    if (target.files[0]) openPicture(target.files[0]);
    target.value = "";
  };
  element("colour-label").hidden = channels !== 3;
  element("more").hidden = told.codes.length <= FIRST_IMAGES;
  element("more").textContent = `Show all ${told.codes.length}`;
  element("more").onclick = () => {
    element("more").hidden = true;
    images();
  };
  if (!drawable()) {
    element("lacking").textContent = `Only the images below are encoded: ${told.lacking}.`;
    for (const id of ["lacking", "drawing-tools", "drawing"]) element(id).hidden = id !== "lacking";
    element("image").classList.add("off");
    element("image").tabIndex = -1;
    element("image").setAttribute("role", "img");
  }
  pointer();
  keyboard();
  dropping();
  choose(0);
}

start();
