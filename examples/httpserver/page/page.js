// The page's script: asks for /status twice a second, shows its numbers, and
// draws the traffic between two answers.
"use strict";

const interval = 500; // ms between questions
const kept = 121;     // samples of the charts: a minute
const shown = 30;     // connections in the table

const $ = (selector) => document.querySelector(selector);

// show puts a text wherever the page has a place for a value.
function show(name, text) {
  for (const e of document.querySelectorAll(`[data-value="${name}"]`)) {
    if (e.textContent !== text) e.textContent = text;
  }
}

// ---- Numbers ----

function scaled(x, units, base, space) {
  let i = 0;
  while (x >= base * 0.9995 && i < units.length - 1) { x /= base; i++; }
  const digits = i === 0 || x >= 100 ? 0 : x >= 10 ? 1 : 2;
  return x.toFixed(digits) + space + units[i];
}
const count = (x) => x < 100000 ? Math.round(x).toLocaleString("en") : scaled(x, ["", "k", "M", "G"], 1000, "");
const bytes = (x) => scaled(x, ["B", "kB", "MB", "GB", "TB"], 1000, " ");
const memory = (x) => scaled(x, ["B", "KiB", "MiB", "GiB"], 1024, " ");
const rate = (x) => x < 10 && x > 0 ? x.toFixed(1) : count(x);
function time(ms) {
  if (ms <= 0) return "–";
  if (ms < 1) return Math.round(ms * 1000) + " µs";
  return ms < 10 ? ms.toFixed(1) + " ms" : ms < 999.5 ? Math.round(ms) + " ms" : (ms / 1000).toFixed(1) + " s";
}

// ---- The table of connections ----

function cell(text, kind) {
  const td = document.createElement("td");
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}

function showConnections(list) {
  const body = $("#connections");
  const wire = body.dataset.wire === "true";
  const mine = list.filter((c) => c.you), others = list.filter((c) => !c.you);
  body.replaceChildren(...[...mine, ...others].slice(0, shown).map((c) => {
    const tr = document.createElement("tr");
    const peer = cell(c.remote);
    if (c.you) {
      const tag = document.createElement("span");
      tag.className = "you";
      tag.textContent = "these numbers";
      peer.append(tag);
    }
    tr.append(peer);
    if (wire) tr.append(cell(c.client || "–"));
    tr.append(cell(c.state), cell(time(c.rtt), "number"), cell(memory(c.window), "number"),
      cell(memory(c.congestion), "number"), cell(memory(c.inFlight), "number"), cell(count(c.retransmits), "number"),
      cell(bytes(c.bytesIn), "number"), cell(bytes(c.bytesOut), "number"));
    return tr;
  }));
  const more = $("#more");
  more.hidden = list.length <= shown;
  more.textContent = `and ${list.length - shown} more`;
}

// ---- The charts ----

class Chart {
  constructor(id, format) {
    this.root = $(id);
    this.svg = this.root.querySelector("svg");
    this.format = format;
    this.samples = []; // [in, out] a second
    for (const y of [10, 65]) {
      const l = this.element("line", "");
      for (const [k, v] of [["x1", 0], ["x2", 600], ["y1", y], ["y2", y]]) l.setAttribute(k, v);
    }
    this.paths = ["area in", "area out", "in", "out"].map((c) => this.element("path", c));
    this.now = ["in", "out"].map((c) => {
      const s = document.createElement("span");
      s.className = c;
      this.root.querySelector(".now").append(s);
      return s;
    });
  }
  element(name, kind) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", name);
    if (kind) e.setAttribute("class", kind);
    this.svg.append(e);
    return e;
  }
  add(into, out) {
    this.samples.push([into, out]);
    if (this.samples.length > kept) this.samples.shift();
    const top = roundUp(Math.max(10, ...this.samples.flat()));
    const x = (i) => 600 - (this.samples.length - 1 - i) * 600 / (kept - 1);
    const y = (v) => 120 - v / top * 110;
    for (const k of [0, 1]) {
      const line = this.samples.map((s, i) => `${x(i).toFixed(1)} ${y(s[k]).toFixed(1)}`).join("L");
      this.paths[k].setAttribute("d", `M${x(0).toFixed(1)} 120L${line}L600 120Z`);
      this.paths[2 + k].setAttribute("d", "M" + line);
      this.now[k].textContent = (k ? "from" : "to") + " the server " + this.format(k ? out : into);
    }
    this.root.querySelector(".top").textContent = this.format(top);
    this.root.querySelector(".half").textContent = this.format(top / 2);
  }
}

// roundUp returns the next of 1, 2, 5, 10, 20, 50 ...
function roundUp(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  for (const f of [1, 2, 5, 10]) if (f * power >= x) return f * power;
}

// ---- The drawing ----

// Traffic moves dots along the stops, and squares along the cable. Each is born
// at a time and ends some time later; where it is follows from that.
class Traffic {
  constructor() {
    this.stage = $("#stage");
    this.canvas = $("#traffic");
    this.context = this.canvas.getContext("2d");
    this.dots = [];
    this.paused = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.calm.addEventListener("change", () => this.draw(performance.now()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.measure());
    new ResizeObserver(() => this.measure()).observe(this.stage);
    requestAnimationFrame((t) => this.frame(t));
  }

  // measure finds the stops' places and the colours.
  measure() {
    const box = this.stage.getBoundingClientRect(), scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * scale);
    this.canvas.height = Math.round(box.height * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.box = box;
    const stops = [...this.stage.querySelectorAll(".stop")];
    this.points = stops.map((s) => {
      const m = s.querySelector(".mark").getBoundingClientRect();
      return { x: m.left + m.width / 2 - box.left, y: m.top + m.height / 2 - box.top };
    });
    this.down = this.points[1].x - this.points[0].x < 10;
    const at = stops.findIndex((s) => s.classList.contains("cable"));
    this.cable = [this.along(at - 1), this.along(at + 1)];
    const style = getComputedStyle(document.documentElement);
    this.colour = {};
    for (const name of ["to", "from", "lost", "rail", "cable", "panel", "ink"]) {
      this.colour[name] = style.getPropertyValue("--" + name).trim();
    }
    this.draw(performance.now());
  }

  // along is the distance of a stop from the first.
  along(i) {
    const a = this.points[0], b = this.points[i];
    return this.down ? b.y - a.y : b.x - a.x;
  }

  // at is the point at a distance, off the middle by side.
  at(distance, side) {
    const a = this.points[0];
    return this.down ? [a.x - side, a.y + distance] : [a.x + distance, a.y + side];
  }

  // add makes n things of a kind, spread over the time until the next answer.
  add(kind, n, delay, life) {
    if (this.paused || this.calm.matches || this.dots.length > 900) return;
    const now = performance.now();
    for (let i = 0; i < n; i++) {
      this.dots.push({ kind, born: now + delay + (i + Math.random() * 0.8) * interval / n, life, wander: Math.random() * 2 - 1 });
    }
  }

  frame(t) {
    requestAnimationFrame((t) => this.frame(t));
    if (this.paused || this.calm.matches || !this.points) return;
    this.draw(t);
  }

  draw(t) {
    if (!this.points) return;
    const c = this.context;
    c.clearRect(0, 0, this.box.width, this.box.height);
    const end = this.along(this.points.length - 1);
    const [near, far] = this.cable;
    this.strip(near + 8, far - 8, 17, this.colour.cable);
    for (const [side, name] of [[-8, "to"], [8, "from"]]) {
      c.strokeStyle = this.colour.rail;
      c.lineWidth = 2;
      c.beginPath();
      c.moveTo(...this.at(0, side));
      c.lineTo(...this.at(end, side));
      c.stroke();
    }
    this.arrows(end);
    this.dots = this.dots.filter((d) => t < d.born + d.life);
    for (const d of this.dots) {
      const f = (t - d.born) / d.life;
      if (f < 0) continue;
      switch (d.kind) {
        case "request": this.circle(f * end, -8, this.colour.to); break;
        case "answer": this.circle((1 - f) * end, 8, this.colour.from); break;
        case "rx": this.square(near + f * (far - near), -8 + d.wander * 4, this.colour.to); break;
        case "tx": this.square(far - f * (far - near), 8 + d.wander * 4, this.colour.from); break;
        case "lost": this.cross(near + (far - near) * (0.5 + d.wander * 0.3), f); break;
      }
    }
  }

  // strip draws the cable.
  strip(from, to, half, colour) {
    const c = this.context, a = this.at(from, -half), b = this.at(to, half);
    c.fillStyle = colour;
    c.beginPath();
    c.roundRect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1]), 6);
    c.fill();
  }

  // arrows show which lane leads where, between the first two stops and the last.
  arrows(end) {
    const middles = [this.along(1) / 2, (this.along(this.points.length - 2) + end) / 2];
    for (const m of middles) {
      this.arrow(m, -8, 1, this.colour.to);
      this.arrow(m, 8, -1, this.colour.from);
    }
  }
  arrow(distance, side, way, colour) {
    const c = this.context;
    c.strokeStyle = colour;
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(...this.at(distance - 4 * way, side - 4));
    c.lineTo(...this.at(distance + way, side));
    c.lineTo(...this.at(distance - 4 * way, side + 4));
    c.stroke();
  }

  circle(distance, side, colour) {
    const c = this.context, [x, y] = this.at(distance, side);
    c.fillStyle = colour;
    c.strokeStyle = this.colour.panel;
    c.lineWidth = 1.5;
    c.beginPath();
    c.arc(x, y, 6.5, 0, 2 * Math.PI);
    c.fill();
    c.stroke();
  }
  square(distance, side, colour) {
    const [x, y] = this.at(distance, side);
    this.context.fillStyle = colour;
    this.context.fillRect(x - 2.5, y - 2.5, 5, 5);
  }
  cross(distance, f) {
    const c = this.context, [x, y] = this.at(distance, f * 22);
    c.globalAlpha = 1 - f * f;
    c.strokeStyle = this.colour.lost;
    c.lineWidth = 2.5;
    c.beginPath();
    for (const s of [-1, 1]) {
      c.moveTo(x - 4, y - 4 * s);
      c.lineTo(x + 4, y + 4 * s);
    }
    c.stroke();
    c.globalAlpha = 1;
  }
}

// legendScale says what a dot stands for when there are too many to draw each.
function legendScale(requests, packets) {
  $("#scale-requests").textContent = requests > 1 ? `(a dot: about ${count(requests)} requests)` : "(a dot: one request)";
  $("#scale-packets").textContent = packets > 1 ? `a square: about ${count(packets)} packets` : "a square: one packet";
}

// ---- Questions and answers ----

const traffic = new Traffic();
const packetChart = new Chart("#chart-packets", rate);
const byteChart = new Chart("#chart-bytes", bytes);
let last = null;
let poll = 0; // ms that the last answer took

function update(now) {
  show("requests", count(now.requests));
  show("packets", `${count(now.server.rxPackets)} / ${count(now.server.txPackets)}`);
  show("bytes", `${bytes(now.server.rxBytes)} / ${bytes(now.server.txBytes)}`);
  show("resent", count(now.server.retransmits + (now.gateway ? now.gateway.retransmits : 0)));
  show("lost", count(now.lost));
  show("poll", time(poll));
  show("client", "answer in " + time(poll));
  show("server", count(now.server.retransmits) + " sent again");
  show("kernel", now.gateway ? count(now.gateway.accepted) + " accepted" : "");
  if (now.gateway) {
    show("gateway", now.gateway.open + " open");
    show("near", count(now.gateway.retransmits) + " sent again");
  }
  showConnections(now.connections);
  if (last && now.seconds > last.seconds) move(last, now);
  last = now;
}

// move shows what happened from one answer to the next.
function move(before, now) {
  const seconds = now.seconds - before.seconds;
  const gone = (f) => Math.max(0, f(now) - f(before));
  const requests = gone((s) => s.requests), lost = gone((s) => s.lost);
  const rx = gone((s) => s.server.rxPackets), tx = gone((s) => s.server.txPackets);
  packetChart.add(rx / seconds, tx / seconds);
  byteChart.add(gone((s) => s.server.rxBytes) / seconds, gone((s) => s.server.txBytes) / seconds);
  show("cable", rate((rx + tx) / seconds) + " packets/s");
  show("http", rate(requests / seconds) + " requests/s");

  const perDot = Math.max(1, requests / 6), perSquare = Math.max(1, Math.max(rx, tx) / 30);
  const leg = 1500, cross = 900;
  const reach = leg * traffic.cable[0] / traffic.along(traffic.points.length - 1);
  traffic.add("request", Math.round(requests / perDot), 0, leg);
  traffic.add("answer", Math.round(requests / perDot), leg, leg);
  traffic.add("rx", Math.ceil(rx / perSquare), reach, cross);
  traffic.add("tx", Math.ceil(tx / perSquare), reach + cross, cross);
  traffic.add("lost", Math.min(8, lost), reach + cross / 2, 1200);
  legendScale(perDot, perSquare);
}

async function ask() {
  const start = performance.now();
  try {
    const answer = await fetch("/status", { signal: AbortSignal.timeout(10000) });
    const now = await answer.json();
    poll = performance.now() - start;
    $("#trouble").hidden = true;
    update(now);
  } catch (e) {
    $("#trouble").textContent = "The server does not answer: it was stopped, perhaps. This page goes on asking.";
    $("#trouble").hidden = false;
    last = null;
  }
}

async function follow() {
  for (;;) {
    const wait = new Promise((done) => setTimeout(done, interval));
    if (!document.hidden) await ask();
    await wait;
  }
}

// ---- Buttons ----

// load sends requests, at most six at a time as browsers do.
async function load(n) {
  const start = performance.now();
  let next = 0, text = "";
  await Promise.all(Array.from({ length: Math.min(6, n) }, async () => {
    while (next++ < n) text = await (await fetch("/hello")).text();
  }));
  const ms = performance.now() - start;
  return n === 1 ? `${time(ms)}: “${text.trim()}”` : `${n} requests in ${time(ms)}: ${count(n / ms * 1000)} a second`;
}

async function loadBytes(n) {
  const start = performance.now();
  const body = (await fetch("/bytes?n=" + n)).body.getReader();
  for (let got = 0; ;) {
    const { done, value } = await body.read();
    if (done) break;
    got += value.length;
  }
  const ms = performance.now() - start;
  return `${bytes(n)} in ${time(ms)}: ${bytes(n / ms * 1000)} a second`;
}

for (const button of document.querySelectorAll("[data-requests], [data-megabytes]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    const { requests, megabytes } = button.dataset;
    try {
      $("#result").textContent = await (requests ? load(+requests) : loadBytes(megabytes * 1e6));
    } catch (e) {
      $("#result").textContent = "It failed: " + e.message;
    }
    button.disabled = false;
    button.focus();
  });
}

$("#pause").addEventListener("click", (e) => {
  traffic.paused = !traffic.paused;
  e.target.setAttribute("aria-pressed", traffic.paused);
  e.target.textContent = traffic.paused ? "Go on drawing" : "Pause the drawing";
  if (!traffic.paused) traffic.dots = [];
});

follow();
