"use strict";
const at = (id) => document.getElementById(id);
let picture = null;

function say(text, isError = false) {
  at("state").textContent = text;
  at("state").className = isError ? "error" : "";
}

function take(file) {
  if (!file) return;
  picture = file;
  ask();
}

function row(label, number) {
  const line = at("labels").insertRow();
  line.insertCell().textContent = label;
  const cell = line.insertCell();
  cell.className = "number";
  cell.textContent = number.toFixed(4);
}

function show(answer) {
  const { drawn, ...rest } = answer;
  at("drawn").src = drawn;
  at("head").textContent = `Dataset ${answer.dataset} (${answer.chosen})`;
  const cut = answer.tiles > 1 ? `, ${answer.tiles} tiles` : "";
  const planes = "count" in answer ? `${answer.count} planes by ${answer.counted_by}; ` : "";
  at("count").textContent = `${planes}${answer.size[0]} × ${answer.size[1]} px${cut}`;
  at("labels").replaceChildren();
  for (const each of answer.labels || []) row(each.label, each.probability);
  for (const each of answer.texts || []) row(each.text, each.probability ?? each.similarity);
  at("json").textContent = JSON.stringify(rest, null, 1);
  at("found").hidden = false;
}

async function ask() {
  if (!picture) return say("Choose a picture first.", true);
  say(`Looking at ${picture.name} …`);
  at("found").hidden = true;
  const query = new URLSearchParams({ drawn: "true" });
  for (const key of ["dataset", "scale"]) if (at(key).value) query.set(key, at(key).value);
  for (const text of at("texts").value.split("\n")) if (text.trim()) query.append("text", text.trim());
  try {
    const got = await fetch(`predict?${query}`, { method: "POST", body: picture });
    const answer = await got.json();
    if (!got.ok) return say(answer.error, true);
    show(answer);
    say("");
  } catch (error) {
    say(`The server does not answer: ${error.message}`, true);
  }
}

at("asked").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
at("file").addEventListener("change", () => take(at("file").files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
fetch("about").then((got) => got.json()).then((about) => {
  for (const [name, each] of Object.entries(about.datasets)) {
    at("dataset").add(new Option(`${name}: ${each.reads}`, name));
  }
  if (about.synthetic === null || about.synthetic.length) {
    at("warning").hidden = false;
    at("warning").textContent = about.synthetic === null
      ? "It is not known whether this model learnt synthetic pictures."
      : `This model learnt SYNTHETIC pictures (${about.synthetic.join(", ")}): its quality on real ones is unknown.`;
  }
});
