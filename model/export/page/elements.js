// Elements of the page, words for people, and what a screen reader is told.

/** The element of an id; page.html has each that is asked for. */
const find = (id) => document.getElementById(id);

/** A new element with properties, such as `className` or `onclick`, and children, elements or texts. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A probability in words; what is not certain is never said to be. */
function percent(share) {
  if (share > 0.99 && share < 1) return "> 99%";
  return share < 0.01 ? "< 1%" : `${Math.round(100 * share)}%`;
}

/** A count with its noun: `counted(2, "drawing")` is "2 drawings". */
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/**
 * Marks a button as one that does nothing now. It keeps the focus, which a disabled button would lose, so that
 * somebody who undoes by keyboard is not thrown to the top of the page.
 */
function enable(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

/** Calls `action` when a button is pressed that is not marked as doing nothing. */
function whenPressed(id, action) {
  const button = find(id);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") action();
  });
}

/** Tells screen readers at most one thing a second: messages in their order, of guesses only the latest. */
class Announcer {
  constructor(region, gap = 1010) {
    Object.assign(this, { region, gap, messages: [], guess: null, timer: null, last: -Infinity });
  }

  tell(message) {
    this.messages.push(message);
    this.schedule();
  }

  tellGuess(guess) {
    this.guess = guess;
    this.schedule();
  }

  schedule() {
    if (this.timer !== null || (!this.messages.length && this.guess === null)) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.last = performance.now();
      this.region.textContent = this.messages.length ? this.messages.join(" ") : this.guess;
      this.messages = [];
      this.guess = null;
    }, Math.ceil(Math.max(100, this.last + this.gap - performance.now())));
  }
}
