// What the page says of the network, its accuracy and the drawings it was trained on.

/** Fill the line under the title and the part at the end of the page. */
function describe(about) {
  const words = counted(about.classes.length, "word");
  find("lead").textContent = about.synthetic
    ? `${words}, known from synthetic doodles; nothing that you draw leaves this page.`
    : `${words}, guessed in this page; nothing that you draw leaves it.`;
  find("rules").textContent = about.asked.length >= ROUNDS
    ? `${ROUNDS} words, ${SECONDS} seconds each. It calls out when it sees what you draw.`
    : "This network knows too few words well enough for a game.";
  find("play").hidden = about.asked.length < ROUNDS;
  const trained = about.synthetic
    ? "It was trained on synthetic doodles, made by a program and not drawn by people, so that it may not know what people draw."
    : about.drawings_trained_on ? `It was trained on ${counted(about.drawings_trained_on, "drawing")}.` : "";
  const unsure = `Below ${percent(about.unsure_below)} it says that it is not sure.`;
  find("about-text").append(
    make("p", {}, [`The network ${about.name} knows ${words}.`, trained, accuracyOf(about), unsure].filter(Boolean).join(" ")),
    make("p", {}, "It runs in this page, without a connection: lines are simplified and drawn as an image by the very code that it was trained with. Drawings stay in this browser until you save or share them."),
    ...(about.synthetic ? [] : [make("p", {}, about.attribution)]),
    make("p", {}, `Made with sketchpipe ${about.version}.`),
    make("p", {}, "The words:"),
    make("ul", { className: "classes" }, ...about.classes.map((word) => make("li", {}, word))));
}

/** A sentence about the accuracy; empty if it was not measured. */
function accuracyOf({ accuracy }) {
  if (!accuracy) return "";
  const share = (value) => `${(100 * value).toFixed(1)}%`;
  const which = { test: "that it had never seen", other: "of another set" }[accuracy.split]
    ?? "that were used to choose it, not to train it";
  const top3 = accuracy.top3 === undefined ? "" : `; the right word was among its first three for ${share(accuracy.top3)}`;
  return `It named ${share(accuracy.top1)} of ${counted(accuracy.drawings, "drawing")} ${which}${top3}.`;
}
