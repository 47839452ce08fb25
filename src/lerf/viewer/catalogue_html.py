"""The document of a catalogue's page. Texts from runs enter it as text alone, never as markup."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lerf catalogue</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 0; background: #f4f4f2; color: #222; }
form { position: sticky; top: 0; padding: 14px 20px; background: #fff; border-bottom: 1px solid #ddd; z-index: 1; }
input { font: inherit; width: min(36em, 70%); padding: 8px 10px; border: 1px solid #aaa; border-radius: 6px; }
button { font: inherit; padding: 8px 16px; }
#said { padding: 10px 20px; white-space: pre-line; } #said.wrong { color: #a00; }
#wall { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px; padding: 0 20px 20px; }
.tile { background: #fff; border: 1px solid #ddd; border-radius: 8px; padding: 8px; text-align: left; cursor: pointer; }
.tile:hover, .tile:focus { border-color: #36c; }
.photo { position: relative; min-height: 90px; background: #e6e6e2; } .photo img { width: 100%; display: block; }
.mark { position: absolute; width: 18px; height: 18px; margin: -11px 0 0 -11px; border: 2px solid #fff;
  border-radius: 50%; box-shadow: 0 0 0 2px #d22; }
.name { font-weight: 600; overflow-wrap: anywhere; margin-top: 6px; } .note { color: #666; font-size: 13px; }
.stale { color: #a00; }
</style></head><body>
<form><input id="q" placeholder="What to look for; several phrases with ; between" autofocus maxlength="2000"
 aria-label="Phrases"> <button>Search</button></form>
<div id="said">Ask all scenes of this catalogue.</div><div id="wall"></div>
<script>
const said = document.getElementById("said"), wall = document.getElementById("wall");
function say(text, wrong) { said.textContent = text; said.className = wrong ? "wrong" : ""; }
function add(parent, kind, name, text) {
  const made = document.createElement(kind);
  made.className = name;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}
async function ask(path, options) {
  const answer = await fetch(path, options), value = await answer.json();
  if (value.error) throw new Error(value.error);
  return value;
}
function show(tile) {
  const made = add(wall, "button", "tile"), photo = add(made, "div", "photo");
  if (tile.photo !== null) {
    const image = add(photo, "img", "");
    image.alt = tile.view;
    image.src = "photo?addition=" + tile.addition + "&photo=" + tile.photo;
    if (tile.mark) {
      const mark = add(photo, "div", "mark");
      mark.style.left = 100 * tile.mark[0] + "%";
      mark.style.top = 100 * tile.mark[1] + "%";
    }
  }
  add(made, "div", "name", tile.phrase + " in " + tile.name);
  const places = tile.instances === 1 ? "1 place" : tile.instances + " places";
  add(made, "div", "note", tile.relevancy.toFixed(3) + ", " + places + ", at (" +
      tile.point.map(value => value.toPrecision(3)).join(", ") + ")");
  if (tile.state === "stale") add(made, "div", "note stale", "trained or baked again since: add it again");
  if (tile.state === "gone" || tile.state === "elsewhere") add(made, "div", "note", "its run is not on this machine");
  made.addEventListener("click", async () => {
    say("Opening " + tile.name + "...");
    const where = new URLSearchParams({addition: tile.addition, phrase: tile.phrase, photo: tile.photo ?? ""});
    try {
      location.href = (await ask("open?" + where, {method: "POST"})).url;
    } catch (problem) { say(problem.message, true); }
  });
}
document.querySelector("form").addEventListener("submit", async event => {
  event.preventDefault();
  say("Looking...");
  wall.replaceChildren();
  const start = performance.now();
  try {
    const found = await ask("search?" + new URLSearchParams({q: document.getElementById("q").value}));
    found.tiles.forEach(show);
    const scenes = found.tiles.length === 1 ? "1 answer" : found.tiles.length + " answers";
    say([scenes + " in " + found.runs + " scenes, in " + Math.round(performance.now() - start) + " ms.",
         ...found.warnings].join("\\n"));
  } catch (problem) { say(problem.message, true); }
});
</script></body></html>
"""
