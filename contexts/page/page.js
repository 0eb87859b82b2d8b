"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const T = n => data.texts[n];
const $ = id => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
// Every text reaches the page as a text node or an attribute, never as markup.
const el = (name, attrs, ...kids) => fill(document.createElement(name), attrs, kids);
const svg = (name, attrs, ...kids) => fill(document.createElementNS(NS, name), attrs, kids);
const fill = (e, attrs, kids) => {
  for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
  for (const k of kids) e.append(k);
  return e;
};
const colours = { create: "#009e73", patch: "#56b4e9", update: "#0072b2", delete: "#d55e00", deletecollection: "#cc79a7", get: "#c9ae00", list: "#e69f00", watch: "#555" };
const colour = verb => colours[verb] || "#999";

// --- what the language of queries sees --------------------------------------------------------------
const events = c => c.seen || (c.seen = c.Events.map((e, i) => ({
  at: data.from + e[0] / 1000, username: T(e[1]), verb: T(e[2]), group: T(e[3]), resource: T(e[4]), sub: T(e[5]), namespace: T(e[6]), name: T(e[7]), uri: T(e[8]),
  code: e[9] || null, own: T(e[10]), reason: T(e[11]), sure: e[12], line: e[13], bodies: e[14], agent: T(e[15]), trigger: i === c.Trigger, c,
})));
const ref = e => !!e.resource;
const fields = {
  "user.username": ["text", e => e.username], "verb": ["text", e => e.verb], "requestURI": ["text", e => e.uri], "userAgent": ["text", e => e.agent],
  "objectRef": ["object", ref], "objectRef.apiGroup": ["text", e => e.group], "objectRef.resource": ["text", e => e.resource], "objectRef.subresource": ["text", e => e.sub],
  "objectRef.namespace": ["text", e => e.namespace], "objectRef.name": ["text", e => e.name], "responseStatus": ["object", e => e.code !== null],
  "responseStatus.code": ["number", e => e.code], "requestReceivedTimestamp": ["time", e => e.at],
  "id": ["text", null, c => T(c.ID)], "label": ["text", null, c => T(c.Label)], "operation": ["text", null, c => T(c.Operation)], "parent": ["text", null, c => T(c.Parent)],
  "size": ["number", null, c => c.Events.length],
};
const aliases = { username: "user.username", resource: "objectRef.resource", subresource: "objectRef.subresource", namespace: "objectRef.namespace", name: "objectRef.name", code: "responseStatus.code", requesttime: "requestReceivedTimestamp", requesturi: "requestURI", useragent: "userAgent", requestreceivedtimestamp: "requestReceivedTimestamp" };
class Wrong extends Error {}
const tokenRule = /\s*(?:("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)|(\d{4}-\d{2}-\d{2}(?:[Tt][0-9:.]+(?:[Zz]|[+-]\d{2}:\d{2})?)?)|(now\b(?:[ \t]*[+-][ \t]*(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h|d|w))+)?)|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)|([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(==|!=|<=|>=|<|>)|([()\[\]]))/y;
const units = { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };
function tokens(text) {
  const out = [];
  tokenRule.lastIndex = 0;
  for (let at = 0; at < text.length;) {
    if (/^\s*$/.test(text.slice(at))) break;
    tokenRule.lastIndex = at;
    const m = tokenRule.exec(text);
    if (!m) throw new Wrong(`unexpected character at ${at + 1}`);
    at = tokenRule.lastIndex;
    const kind = ["text", "date", "now", "name", "number", "op", "sign"][m.slice(1).findIndex(x => x !== undefined)];
    out.push({ kind, value: m.slice(1).find(x => x !== undefined), at });
  }
  return out;
}
function unquoted(s) {
  const inner = s.slice(1, -1);
  if (s[0] === "`") return inner;
  return inner.replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/g, (_, e) => e.length > 1 ? String.fromCharCode(parseInt(e.slice(1), 16)) : ({ n: "\n", t: "\t", r: "\r" })[e] || e);
}
function compile(text, now) {
  const list = tokens(text);
  let at = 0, depth = 0;
  const peek = () => list[at] || { kind: "end", value: "" };
  const word = w => peek().kind === "name" && peek().value === w && ++at;
  const expect = v => { if (peek().value !== v) throw new Wrong(`${v} is missing before ${peek().value || "the end"}`); at++; };
  const or = () => { const terms = [and()]; while (word("or")) terms.push(and()); return x => terms.some(t => t(x)); };
  const and = () => { const terms = [not()]; while (word("and")) terms.push(not()); return x => terms.every(t => t(x)); };
  const not = () => { if (word("not")) { const t = not(); return x => !t(x); } return group(); };
  const group = () => {
    if (peek().value === "(" && peek().kind === "sign") {
      if (++depth > 64) throw new Wrong("more than 64 parentheses in one another");
      at++; const e = or(); expect(")"); depth--; return e;
    }
    return comparison();
  };
  // An operand: its kind, and a function of an event and its context that gives its values.
  const operand = () => {
    const t = peek(); at++;
    switch (t.kind) {
      case "text": { const v = unquoted(t.value); return { kind: "text", constant: true, get: () => v }; }
      case "number": { const v = Number(t.value); return { kind: "number", constant: true, get: () => v }; }
      case "date": { const v = Date.parse(t.value.length === 10 ? t.value + "T00:00:00Z" : t.value); if (isNaN(v)) throw new Wrong(`${t.value} is no time`); return { kind: "time", constant: true, get: () => v }; }
      case "now": {
        let v = now; const m = /([+-])\s*(.*)$/.exec(t.value);
        if (m) for (const p of m[2].matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)/g)) v += (m[1] === "-" ? -1 : 1) * Number(p[1]) * units[p[2]];
        return { kind: "time", constant: true, get: () => v };
      }
      case "name": {
        if (peek().value === "(" && peek().kind === "sign") {
          at++;
          if (t.value === "regexp") {
            const p = peek(); if (p.kind !== "text") throw new Wrong("regexp(...) takes a text"); at++; expect(")");
            let re; try { re = new RegExp(unquoted(p.value), "u"); } catch (e) { throw new Wrong("bad regexp: " + e.message); }
            return { kind: "regexp", re };
          }
          if (t.value === "exists") {
            const o = operand(); expect(")");
            if (o.constant || !o.path) throw new Wrong("exists(...) takes a name");
            return { condition: x => { const v = o.get(x); return v !== null && v !== undefined && v !== "" && v !== false; } };
          }
          const e = or(); expect(")");
          const each = x => events(x.c).map(ev => ({ e: ev, c: x.c }));
          if (t.value === "any") return { condition: x => each(x).some(e) };
          if (t.value === "all") return { condition: x => each(x).every(e) };
          if (t.value === "count") return { kind: "number", get: x => each(x).filter(e).length };
          throw new Wrong(`unknown function ${t.value}`);
        }
        if (t.value === "true" || t.value === "false") throw new Wrong("true and false are only for bodies, which this page does not have");
        const name = fields[t.value] ? t.value : aliases[t.value.toLowerCase()] || t.value.toLowerCase();
        const f = fields[name];
        if (!f) throw new Wrong(`this page does not know ${t.value}: use k8ntext query`);
        return { kind: f[0], path: true, get: x => f[2] ? f[2](x.c) : x.e ? f[1](x.e) : null };
      }
    }
    throw new Wrong(`unexpected ${t.value || "end"}`);
  };
  const compare = (a, op, b) => {
    if (a.condition || b.condition) throw new Wrong("any, all and exists stand alone");
    if (a.kind === "object" || b.kind === "object") throw new Wrong("an object is not compared: use exists(...)");
    if (a.kind === "regexp") { if (b.kind === "regexp") throw new Wrong("regexp(...) on both sides"); [a, b] = [b, a]; }
    if (b.kind === "regexp") {
      if (op !== "==" && op !== "!=") throw new Wrong("regexp(...) stands beside == and !=");
      if (a.kind !== "text") throw new Wrong("regexp(...) is about texts");
      const eq = x => { const v = a.get(x); return v !== null && b.re.test(v); };
      return op === "==" ? eq : x => !eq(x);
    }
    for (const [p, q] of [[a, b], [b, a]]) if (p.kind === "time" && q.kind === "text" && q.constant) {
      const v = Date.parse(q.get()); if (isNaN(v)) throw new Wrong("that text is no time"); q.kind = "time"; q.get = () => v;
    }
    if (a.kind !== b.kind) throw new Wrong(`a ${a.kind} is not compared with a ${b.kind}`);
    const order = (v, w) => v < w ? -1 : v > w ? 1 : 0;
    const test = { "==": o => o === 0, "!=": o => o === 0, "<": o => o < 0, "<=": o => o <= 0, ">": o => o > 0, ">=": o => o >= 0 }[op];
    const holds = x => { const v = a.get(x), w = b.get(x); return v !== null && w !== null && v !== undefined && w !== undefined && test(order(v, w)); };
    return op === "!=" ? x => !holds(x) : holds;
  };
  const comparison = () => {
    let a = operand();
    if (a.condition) return a.condition;
    const links = [];
    let way = "";
    while (peek().kind === "op") {
      const op = peek().value; at++;
      const b = operand();
      links.push([a, op, b]);
      if (links.length > 1 || peek().kind === "op") {
        if (op === "==" || op === "!=" || way && way !== op[0]) throw new Wrong("a chain is of < and <=, or of > and >=");
        way = op[0];
      }
      a = b;
    }
    if (links.length === 0) throw new Wrong("a condition is missing");
    if (links.length > 2) throw new Wrong("a chain has three values");
    const terms = links.map(l => compare(...l));
    return x => terms.every(t => t(x));
  };
  if (list.length === 0) return () => true;
  const root = or();
  if (at < list.length) throw new Wrong(`unexpected ${peek().value}`);
  return c => root({ c, e: c.Trigger >= 0 ? events(c)[c.Trigger] : null });
}
window.k8ntext = { compile, contexts: data.contexts, id: c => T(c.ID) };

// --- words -------------------------------------------------------------------------------------------
const who = c => (T(c.Actor) || "(nobody)") + (c.As ? " as " + T(c.As) : "");
const kindOf = (r, s, g) => r + (s ? "/" + s : "") + (g ? "." + g : "");
const what = c => T(c.Verb) + " " + (c.Resource ? kindOf(T(c.Resource), T(c.Sub), T(c.Group)) : T(c.URI));
const on = (ns, name) => (ns ? ns + "/" : "") + (name || "*");
const onWhat = c => c.Resource ? on(T(c.Namespace), T(c.Name)) : "–";
const clock = us => new Date(data.from + us / 1000).toISOString().slice(11, 23);
const began = c => c.Events.length ? c.Events[0][0] : 0;
const ended = c => c.Events.reduce((m, e) => Math.max(m, e[0]), 0);
const span = us => us < 1e6 ? Math.round(us / 1e3) + " ms" : us < 6e7 ? (us / 1e6).toFixed(1) + " s" : Math.round(us / 1e6) + " s";
const code = n => { const e = el("span", n >= 400 ? { class: "bad" } : {}); e.textContent = n || "–"; return e; };
const hue = c => `hsl(${(c.number * 137.5) % 360} 60% 45%)`;
data.contexts.forEach((c, i) => { c.number = i; });

// --- state -------------------------------------------------------------------------------------------
let shown = [], chosen = null, view = "timeline";
const draws = { timeline: drawTimeline, list: drawList, context: drawContext, lines: drawLines };
function ask() {
  const text = $("query").value.trim(), found = $("found");
  const base = data.contexts.filter(c => !$("people").checked || c.Person);
  found.className = "";
  let test;
  try {
    test = compile(text, Date.now());
  } catch (err) {
    if (!(err instanceof Wrong)) throw err;
    const plain = text.toLowerCase();
    if (/[=<>()]/.test(text)) {
      found.className = "wrong"; found.textContent = err.message; return;
    }
    test = c => (who(c) + " " + what(c) + " " + onWhat(c) + " " + T(c.ID) + " " + T(c.Label)).toLowerCase().includes(plain);
  }
  shown = base.filter(test);
  found.textContent = `${shown.length} of ${data.contexts.length} contexts, ${shown.reduce((n, c) => n + c.Events.length, 0)} events`;
  draws[view]();
}
function go(to) {
  view = to;
  for (const b of document.querySelectorAll("nav button")) b.setAttribute("aria-selected", b.dataset.view === to);
  for (const s of document.querySelectorAll("main > section")) s.hidden = s.id !== "v-" + to;
  draws[to]();
}
function choose(c, to) { chosen = c; location.hash = encodeURIComponent(T(c.ID)); go(to || "context"); }

// --- timeline ----------------------------------------------------------------------------------------
const maxDots = 6000;
function drawTimeline() {
  const chart = $("chart"); chart.replaceChildren();
  const users = new Map();
  for (const c of shown) for (const e of events(c)) users.set(e.username, (users.get(e.username) || 0) + (e.trigger && c.Person ? 1e6 : 1));
  const names = [...users].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 30).map(x => x[0]);
  if (names.length === 0) { $("chartnote").textContent = "Nothing found."; return; }
  const row = new Map(names.map((n, i) => [n, i]));
  const from = Math.min(...shown.map(began)), to = shown.reduce((m, c) => Math.max(m, ended(c)), from + 1e6);
  const room = Math.max(chart.clientWidth, 320), left = room < 600 ? 8 : 250, high = room < 600 ? 34 : 22, top = 24;
  const width = Math.min((room - left - 16) * Math.pow(60, $("zoom").value / 100), 60000);
  const x = us => left + 8 + (us - from) / (to - from) * width;
  const y = i => top + i * high + (room < 600 ? 22 : 11);
  const s = svg("svg", { width: left + width + 24, height: top + names.length * high + 8, role: "img", "aria-label": "timeline of contexts" });
  const step = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200].find(v => v * 1e6 / (to - from) * width > 90) || 14400;
  for (let t = Math.ceil((data.from + from / 1000) / (step * 1000)) * step * 1000; t <= data.from + to / 1000; t += step * 1000) {
    const at = x((t - data.from) * 1000);
    s.append(svg("line", { x1: at, x2: at, y1: top - 4, y2: top + names.length * high, stroke: "#e3e6ea" }), svg("text", { x: at + 2, y: 14, "font-size": 11, fill: "#59636e" }, new Date(t).toISOString().slice(11, 19)));
  }
  names.forEach((n, i) => {
    s.append(svg("line", { x1: left, x2: left + width + 16, y1: y(i), y2: y(i), stroke: "#d5d9de" }));
    const text = n.length > 38 ? "…" + n.slice(-37) : n || "(nobody)";
    s.append(svg("text", room < 600 ? { x: 2, y: y(i) - 9, "font-size": 11 } : { x: left - 4, y: y(i) + 4, "font-size": 12, "text-anchor": "end" }, text));
  });
  let dots = 0, hidden = 0;
  const small = svg("g"), big = svg("g");
  for (const c of shown) {
    const dim = chosen && chosen !== c ? .35 : 1;
    for (const e of events(c)) {
      const i = row.get(e.username);
      if (i === undefined || dots >= maxDots && !e.trigger) { hidden++; continue; }
      dots++;
      const d = svg("circle", { cx: x((e.at - data.from) * 1000).toFixed(1), cy: y(i), r: e.trigger ? 6 : 2.5, fill: colour(e.verb), opacity: e.trigger ? dim : .7 * dim, class: "hit" });
      if (e.trigger) {
        d.setAttribute("stroke", "#fff");
        d.append(svg("title", {}, `${who(c)}: ${what(c)} ${onWhat(c)}, ${c.Events.length} events`));
      } else if (dots < 3000) d.append(svg("title", {}, `${e.verb} ${kindOf(e.resource, e.sub, e.group) || e.uri} ${on(e.namespace, e.name)}, caused by ${what(c)} ${onWhat(c)}`));
      d.addEventListener("click", () => choose(c));
      (e.trigger ? big : small).append(d);
    }
  }
  s.append(small, big);
  chart.append(s);
  $("chartnote").textContent = "Large: what started a context; small: what it caused." + (hidden ? ` ${hidden} events of other users, or too many to draw, are left out.` : "");
}
for (const [v, c] of Object.entries(colours)) $("legend").append(el("i", { style: `background:${c}` }), v);

// --- list --------------------------------------------------------------------------------------------
const page = 300;
function drawList() {
  const rows = shown.slice(0, page).map(c => {
    const tr = el("tr", { tabindex: 0 }, el("td", { class: "mono" }, clock(began(c))), el("td", {}, who(c)), el("td", {}, what(c)), el("td", {}, onWhat(c)), el("td", {}, code(c.Code)), el("td", {}, c.Events.length), el("td", {}, span(ended(c) - began(c))));
    if (c === chosen) tr.className = "chosen";
    tr.addEventListener("click", () => choose(c));
    tr.addEventListener("keydown", e => { if (e.key === "Enter") choose(c); });
    return tr;
  });
  $("rows").replaceChildren(...rows);
  $("more").textContent = shown.length > page ? `${shown.length - page} more: search to narrow them down.` : "";
}

// --- one context: who on the left, namespaces with resources and objects on the right -----------------
function drawContext() {
  const c = chosen || shown[0];
  if (!c) { $("facts").textContent = "Nothing found."; $("graph").replaceChildren(); $("events").replaceChildren(); return; }
  chosen = c;
  const dl = el("dl");
  const fact = (k, v) => { if (v) dl.append(el("dt", {}, k), el("dd", {}, v)); };
  fact("label", T(c.Label)); fact("began", new Date(data.from + began(c) / 1000).toISOString()); fact("events", `${c.Events.length} in ${span(ended(c) - began(c))}`);
  fact("result", c.Code ? String(c.Code) : ""); fact("operation", T(c.Operation)); fact("set off by", T(c.Parent)); fact("id", T(c.ID));
  if (c.Trigger < 0) fact("start", "not in the log");
  if (c.Objects.length) fact("changed", c.Objects.slice(0, 12).map(T).join(", ") + (c.Objects.length > 12 ? ` and ${c.Objects.length - 12} more` : ""));
  $("facts").replaceChildren(el("h2", {}, el("span", { class: "badge", style: `background:${colour(T(c.Verb))}` }, T(c.Verb)), ` ${who(c)}: ${what(c)} ${onWhat(c)}`), dl);
  $("graph").replaceChildren(graph(events(c)));
  const first = events(c)[0];
  $("events").replaceChildren(...events(c).slice(0, 500).map(e => el("tr", e.trigger ? { class: "chosen" } : {},
    el("td", {}, "+" + (e.at - first.at < 1000 ? (e.at - first.at).toFixed(1) + " ms" : ((e.at - first.at) / 1000).toFixed(2) + " s")), el("td", {}, e.username),
    el("td", {}, `${e.verb} ${e.resource ? kindOf(e.resource, e.sub, e.group) + " " + on(e.namespace, e.name) : e.uri}`), el("td", {}, code(e.code)), el("td", {}, e.own), el("td", {}, e.reason), el("td", { class: "mono" }, e.line))));
}
function graph(list) {
  const edges = new Map(), actors = [];
  const seen = (m, k) => { if (!m.has(k)) m.set(k, m.size); return m.get(k); };
  const spaces = new Map(), kinds = new Map(), objects = new Map();
  let left = 0;
  for (const e of list) {
    const kind = kindOf(e.resource, e.sub, e.group) || "(no object)", name = e.resource ? e.name || "*" : e.uri;
    const k = JSON.stringify([e.username, e.namespace, kind, name]);
    if (!edges.has(k)) {
      if (edges.size === 60) { left++; continue; }
      edges.set(k, { user: e.username, space: e.namespace || "(no namespace)", kind, name, verbs: new Map(), trigger: false,
        order: [seen(spaces, e.namespace), seen(kinds, e.namespace + "\0" + kind), seen(objects, e.namespace + "\0" + kind + "\0" + name)] });
      if (!actors.includes(e.username)) actors.push(e.username);
    }
    const x = edges.get(k);
    x.verbs.set(e.verb, (x.verbs.get(e.verb) || 0) + 1);
    x.trigger = x.trigger || e.trigger;
  }
  const rows = [...edges.values()].sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1] || a.order[2] - b.order[2]);
  const actorW = 220, arrows = 190, inner = actorW + arrows, objW = 300, rowH = 22;
  const back = svg("g"), front = svg("g"), lines = svg("g");
  const box = (to, x, y, w, h, fill, stroke, text, ink, size) => {
    const shortText = text.length > w / 7.2 ? "…" + text.slice(-Math.floor(w / 7.2) + 1) : text;
    to.append(svg("rect", { x, y, width: w, height: h, rx: 3, fill, stroke }), svg("text", { x: x + 6, y: y + (size || 14), "font-size": 12, fill: ink }, shortText, svg("title", {}, text)));
  };
  let y = 6;
  for (let i = 0; i < rows.length;) {
    const topSpace = y, space = rows[i].space; y += 20;
    const later = [];
    while (i < rows.length && rows[i].space === space) {
      const topKind = y, kind = rows[i].kind; y += 18;
      while (i < rows.length && rows[i].space === space && rows[i].kind === kind) {
        const name = rows[i].name, topObject = y;
        while (i < rows.length && rows[i].space === space && rows[i].kind === kind && rows[i].name === name) { rows[i].y = y + rowH / 2; y += rowH; i++; }
        later.push(() => box(front, inner, topObject + 1, objW, y0(topObject, name, space, kind) - 2, "#1f4e79", "none", name, "#fff", 15));
      }
      const bottom = y + 3; y += 7;
      later.unshift(() => box(back, inner - 10, topKind, objW + 20, bottom - topKind, "#e8f1fa", "#8aa8c8", kind, "#1b1f24"));
    }
    y += 3;
    box(back, inner - 20, topSpace, objW + 40, y - topSpace, "#fff", "#59636e", space, "#1b1f24");
    later.forEach(f => f());
    y += 10;
  }
  function y0(start, name, space, kind) { return rows.filter(r => r.name === name && r.space === space && r.kind === kind).length * rowH; }
  const height = Math.max(y, actors.length * 34 + 8);
  const actorY = new Map(actors.map((a, i) => [a, height * (i + .5) / actors.length]));
  for (const a of actors) box(front, 2, actorY.get(a) - 12, actorW - 8, 24, "#fbe4ee", "#b82060", a || "(nobody)", "#1b1f24", 16);
  for (const r of rows) {
    const verbs = [...r.verbs].map(([v, n]) => n > 1 ? `${n}× ${v}` : v).join(", "), c = colour([...r.verbs.keys()][0]);
    lines.append(svg("polyline", { points: `${actorW - 6},${actorY.get(r.user)} ${inner - 118},${r.y} ${inner - 2},${r.y}`, fill: "none", stroke: c, "stroke-width": r.trigger ? 3 : 1.3 }),
      svg("polygon", { points: `${inner},${r.y} ${inner - 8},${r.y - 4} ${inner - 8},${r.y + 4}`, fill: c }),
      svg("text", { x: inner - 24, y: r.y - 2, "font-size": 10.5, "text-anchor": "end", "paint-order": "stroke", stroke: "#fff", "stroke-width": 3 }, verbs.length > 22 ? verbs.slice(0, 21) + "…" : verbs));
  }
  const s = svg("svg", { width: inner + objW + 26, height: height + (left ? 24 : 4), role: "img", "aria-label": "graph of the context" }, back, lines, front);
  if (left) s.append(svg("text", { x: inner, y: height + 14, "font-size": 12 }, `and ${left} more events on other objects`));
  return s;
}

// --- lines beside actions ----------------------------------------------------------------------------
const window_ = 120;
function drawLines() {
  const all = shown.flatMap(events).sort((a, b) => a.at - b.at);
  const start = chosen ? Math.max(0, all.findIndex(e => e.c === chosen) - 5) : 0;
  const part = all.slice(start, start + window_), acts = [...new Set(part.map(e => e.c))];
  $("linehead").textContent = `${part.length} of ${all.length} events`;
  $("acthead").textContent = `${acts.length} actions`;
  $("raw").replaceChildren(...part.map(e => {
    const li = el("li", { style: `border-color:${hue(e.c)}` }, `${e.line}: ${new Date(e.at).toISOString().slice(11, 23)} ${e.username} ${e.verb} ${e.uri} ${e.code || ""}${e.bodies ? ` (bodies of ${e.bodies} bytes)` : ""}`);
    if (e.c === chosen) li.className = "chosen";
    li.addEventListener("click", () => { chosen = e.c; drawLines(); });
    return li;
  }));
  $("acts").replaceChildren(...acts.map(c => {
    const li = el("li", { style: `border-color:${hue(c)}` }, `${clock(began(c))} ${who(c)}: ${what(c)} ${onWhat(c)} (${c.Events.length} events)`);
    if (c === chosen) li.className = "chosen";
    li.addEventListener("click", () => choose(c));
    return li;
  }));
}

for (const b of document.querySelectorAll("nav button")) b.addEventListener("click", () => go(b.dataset.view));
$("query").addEventListener("input", ask);
$("people").addEventListener("change", ask);
$("zoom").addEventListener("input", drawTimeline);
if (!data.contexts.some(c => c.Person)) $("people").checked = false;
const [hashView, hashID] = decodeURIComponent(location.hash.slice(1)).split("/");
const wanted = id => data.contexts.find(c => T(c.ID) === id);
if (wanted(hashView)) { chosen = wanted(hashView); view = "context"; } else if (draws[hashView]) { view = hashView; chosen = wanted(hashID) || null; }
go(view); ask();
})();
