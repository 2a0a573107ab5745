"use strict";
// The networks of a run: layers as directmax.tool.explore.networks lists them, and what codes are.

const bytesOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

function numbersOf({dtype, bytes}) {
  const {buffer} = bytesOf(bytes);
  if (dtype === "float32") return new Float32Array(buffer);
  return Float32Array.from(new Uint16Array(buffer), half => {
    const sign = half & 0x8000 ? -1 : 1, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  });
}

const told = JSON.parse(document.getElementById("told").textContent);
const weights = numbersOf(told.weights);
delete told.weights;

// A grid of numbers is one array: channel by channel, row by row.
const operations = {
  relu: (layer, x) => x.map(value => value > 0 ? value : 0),
  leaky: ({slope}, x) => x.map(value => value > 0 ? value : slope * value),
  softplus: (layer, x) => x.map(softplus),

  linear({inputs, outputs, weight, bias}, x) {
    const used = [];  // codes are mostly zeros
    for (let i = 0; i < inputs; i++) if (x[i] !== 0) used.push(i);
    const y = new Float32Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = bias === null ? 0 : weights[bias + o];
      const row = weight + o * inputs;
      for (const i of used) sum += weights[row + i] * x[i];
      y[o] = sum;
    }
    return y;
  },

  convolution(layer, x) {
    const {kernel, stride, padding, weight, from: [channels, height, width]} = layer;
    const y = withBias(layer), [outputs, rows, columns] = layer.to;
    let position = weight;
    for (let o = 0; o < outputs; o++) for (let i = 0; i < channels; i++)
      for (let ky = 0; ky < kernel; ky++) for (let kx = 0; kx < kernel; kx++) {
        const value = weights[position++], shift = kx - padding;
        const first = Math.max(0, Math.ceil(-shift / stride));
        const last = Math.min(columns - 1, Math.floor((width - 1 - shift) / stride));
        for (let r = 0; r < rows; r++) {
          const source = r * stride + ky - padding;
          if (source < 0 || source >= height) continue;
          const to = (o * rows + r) * columns, start = (i * height + source) * width + shift;
          for (let c = first; c <= last; c++) y[to + c] += value * x[start + c * stride];
        }
      }
    return y;
  },

  transposed(layer, x) {
    const {kernel, stride, padding, weight, from: [channels, height, width]} = layer;
    const y = withBias(layer), [outputs, rows, columns] = layer.to;
    let position = weight;
    for (let i = 0; i < channels; i++) for (let o = 0; o < outputs; o++)
      for (let ky = 0; ky < kernel; ky++) for (let kx = 0; kx < kernel; kx++) {
        const value = weights[position++], shift = kx - padding;
        const first = Math.max(0, Math.ceil(-shift / stride));
        const last = Math.min(width - 1, Math.floor((columns - 1 - shift) / stride));
        for (let r = 0; r < height; r++) {
          const target = r * stride + ky - padding;
          if (target < 0 || target >= rows) continue;
          const from = (i * height + r) * width, start = (o * rows + target) * columns + shift;
          for (let c = first; c <= last; c++) y[start + c * stride] += value * x[from + c];
        }
      }
    return y;
  },

  // Of every group of channels: mean 0 and variance 1, then a scale and a shift for each channel.
  norm({groups, epsilon, weight, bias, from: [channels, height, width]}, x) {
    const y = new Float32Array(x.length), size = x.length / groups, area = height * width;
    for (let group = 0; group < groups; group++) {
      const part = x.subarray(group * size, (group + 1) * size);
      const mean = part.reduce((a, b) => a + b, 0) / size;
      const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
      const scale = 1 / Math.sqrt(variance + epsilon);
      for (let i = 0; i < size; i++) {
        const channel = Math.floor((group * size + i) / area);
        y[group * size + i] = (part[i] - mean) * scale * weights[weight + channel]
          + weights[bias + channel];
      }
    }
    return y;
  },

  // At every place: mean 0 and variance 1 over channels, then a scale and a shift for each of them.
  placeNorm({epsilon, weight, bias, from: [channels, height, width]}, x) {
    const y = new Float32Array(x.length), area = height * width;
    for (let place = 0; place < area; place++) {
      let mean = 0, variance = 0;
      for (let i = place; i < x.length; i += area) mean += x[i] / channels;
      for (let i = place; i < x.length; i += area) variance += (x[i] - mean) ** 2 / channels;
      const scale = 1 / Math.sqrt(variance + epsilon);
      for (let channel = 0; channel < channels; channel++) {
        const at = channel * area + place;
        y[at] = (x[at] - mean) * scale * weights[weight + channel] + weights[bias + channel];
      }
    }
    return y;
  },

  upsample({scale, from: [channels, height, width], to: [, rows, columns]}, x) {
    const y = new Float32Array(channels * rows * columns);
    for (let i = 0, at = 0; i < channels; i++) for (let r = 0; r < rows; r++) {
      const start = (i * height + Math.floor(r / scale)) * width;
      for (let c = 0; c < columns; c++) y[at++] = x[start + Math.floor(c / scale)];
    }
    return y;
  },

  sum({layers, shortcut}, x) {
    const other = through(shortcut, x);
    return through(layers, x).map((value, i) => value + other[i]);
  },

  crop({from: [, height, width], to: [channels, rows, columns], top, left}, x) {
    const y = new Float32Array(channels * rows * columns);
    for (let i = 0; i < channels; i++) for (let r = 0; r < rows; r++) {
      const start = (i * height + top + r) * width + left;
      y.set(x.subarray(start, start + columns), (i * rows + r) * columns);
    }
    return y;
  },
};

function withBias({to: [outputs, rows, columns], bias}) {
  const y = new Float32Array(outputs * rows * columns);
  if (bias === null) return y;
  for (let o = 0; o < outputs; o++)
    y.fill(weights[bias + o], o * rows * columns, (o + 1) * rows * columns);
  return y;
}

const through = (layers, x) => layers.reduce((y, layer) => operations[layer.op](layer, y), x);
const run = (name, x) => through(told.networks[name], x);

const sigmoid = value => 1 / (1 + Math.exp(-value));
const softplus = value => Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)));
const largest = values => values.reduce((best, value, i) => value > values[best] ? i : best, 0);

function softmax(scores) {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Array.from(scores, score => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(power => power / sum);
}

// The most probable values of all variables together, and the probabilities of each alone.
function posterior(potentials) {
  const n = told.variables.length, k = told.variables[0].values.length;
  if (told.coupling) return coupled(potentials, n);
  const rows = told.variables.map((_, i) => potentials.subarray(i * k, (i + 1) * k));
  return {values: rows.map(largest), probabilities: rows.map(softmax), potentials: rows};
}

// By enumeration; see PairwisePotentials: couplings are around the middle.
function coupled(potentials, n) {
  const {supermodular, initial} = told.coupling;
  const unary = Float64Array.from(potentials.subarray(0, 2 * n)), pairs = [];
  let position = 2 * n;
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) {
    const raw = potentials[position++], h = supermodular ? softplus(raw + initial) : raw;
    unary[2 * i + 1] -= h / 2;
    unary[2 * j + 1] -= h / 2;
    pairs.push([i, j, h]);
  }
  const scores = new Float64Array(2 ** n);
  for (let state = 0; state < scores.length; state++) {
    for (let i = 0; i < n; i++) scores[state] += unary[2 * i + (state >> i & 1)];
    for (const [i, j, h] of pairs) if (state >> i & state >> j & 1) scores[state] += h;
  }
  const best = largest(scores), shares = softmax(scores);
  const on = new Float64Array(n);
  shares.forEach((share, state) => {
    for (let i = 0; i < n; i++) if (state >> i & 1) on[i] += share;
  });
  return {
    values: told.variables.map((_, i) => best >> i & 1),
    probabilities: Array.from(on, share => [1 - share, share]),
    potentials: told.variables.map((_, i) => { // given the others' best values
      const from = ([a, b]) => a === i ? best >> b & 1 : b === i ? best >> a & 1 : 0;
      const pull = pairs.reduce((sum, [a, b, h]) => sum + h * from([a, b]), 0);
      return [unary[2 * i], unary[2 * i + 1] + pull];
    }),
  };
}

// A search with the decoder, as directmax.refine: from the best code of q and from the best of some
// candidates, by the best change of one variable while one lowers the loss. Where the better of them
// ends every variable has its posterior given the others.
function refined(pixels, {values, potentials}) {
  const candidates = told.refined.noise.map(noise =>
    noise.map((row, i) => largest(row.map((value, j) => potentials[i][j] + value))));
  const starts = [Array.from(values)];
  if (candidates.length) {
    starts.push(candidates[largest(candidates.map(code => -lossOf(pixels, code)))]);
  }
  const ends = starts.map(code => searched(pixels, code));
  const {changes} = ends[largest(ends.map(end => -end.changes[0][end.code[0]]))];
  const probabilities = changes.map(losses => softmax(losses.map(loss => -loss)));
  return {values: probabilities.map(largest), probabilities};
}

function searched(pixels, code) {
  let changes = changesOf(pixels, code);
  const moves = code.length === 1 ? 0 : code.length;
  for (let move = 0; move < moves; move++) {
    const best = largest(changes.flat().map(loss => -loss)), k = changes[0].length;
    const i = Math.floor(best / k);
    if (code[i] === best % k) break;
    code = code.with(i, best % k);
    changes = changesOf(pixels, code);
  }
  return {code, changes};
}

function changesOf(pixels, code) {
  const here = lossOf(pixels, code);
  return code.map((value, i) => Array.from(told.variables[i].values, (_, other) =>
    other === value ? here : lossOf(pixels, code.with(i, other))));
}

// −log p(x|z) less what all codes have in common.
function lossOf(pixels, code) {
  const logits = logitsOf({values: code}), {likelihood, scale} = told.refined;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    if (likelihood === "bernoulli") {
      sum += softplus(logits[i]) - pixels[i] * logits[i];
      continue;
    }
    const level = Math.round(255 * pixels[i]);
    const away = ((level + 0.5) / 256 - sigmoid(logits[i])) / scale, half = 1 / (512 * scale);
    if (likelihood === "gaussian") sum += away * away / 2;
    else sum += (level < 255 ? softplus(-away - half) : 0) + (level > 0 ? softplus(away - half) : 0);
  }
  return sum;
}

const signs = values => values.map(value => 2 * value - 1);

// The mean of the Gaussian code of an image for values of the variables.
function gaussianOf(pixels, values) {
  if (told.kind === "mixed") {
    const features = run("base", pixels), size = told.networks.gaussian[0].inputs;
    const rows = run("rows", features);
    const row = rows.subarray(values[0] * size, (values[0] + 1) * size);
    return run("gaussian", row).slice(0, told.gaussian.size);
  }
  const features = run("features", pixels.map(value => 2 * value - 1));
  const both = Float32Array.of(...features, ...signs(values));
  return run("gaussian", both).slice(0, told.gaussian.size);
}

// What the potentials are made of: the image, or mean features of it and of its mirror image.
function seen(pixels) {
  if (!("trunk" in told.networks)) return pixels;
  const width = told.shape.at(-1);
  const mirrored = pixels.map((_, i) => pixels[i - i % width + width - 1 - i % width]);
  const other = run("trunk", mirrored);
  return run("trunk", pixels).map((value, i) => (value + other[i]) / 2);
}

// Values, their probabilities and the Gaussian code of pixels in [0, 1]; values may be known.
function encode(pixels, values = null) {
  const nothing = {values, probabilities: null, gaussian: new Float32Array(0)};
  let found = nothing;
  if (!told.lacking) {
    if (told.kind === "mixed") found = posterior(run("potentials", run("base", pixels)));
    else if (told.kind === "discrete") found = posterior(run("potentials", pixels));
    else found = posterior(run("potentials", seen(pixels.map(value => 2 * value - 1))));
    if (told.refined) found = refined(pixels, found);
  }
  const known = found.values !== null && "gaussian" in told.networks;
  return {...found, gaussian: known ? gaussianOf(pixels, found.values) : zeros()};
}

const zeros = () => new Float32Array(told.gaussian ? told.gaussian.size : 0);

// The mean image of a code.
const decode = code => logitsOf(code).map(sigmoid);

function logitsOf({values, gaussian}) {
  const k = told.variables[0].values.length;
  let input;
  if (told.kind === "attributes") input = Float32Array.of(...gaussian, ...signs(values));
  else if (told.kind === "mixed") {
    input = new Float32Array(k * told.gaussian.size);
    input.set(gaussian, values[0] * told.gaussian.size);
  } else {
    input = new Float32Array(values.length * k);
    values.forEach((value, i) => { input[i * k + value] = 1; });
  }
  return run("decoder", input);
}
