// The question what a drawing shows.

/** A dialog that asks for a word. The network's guesses are offered, and none is filled in. */
class Question {
  constructor(classes) {
    this.dialog = find("ask");
    this.answer = find("answer");
    find("words").append(...classes.map((word) => make("option", { value: word })));
    find("ask-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const word = this.answer.value.trim().replace(/\s+/g, " ");
      if (word) this.dialog.close(word);
    });
    find("cancel").addEventListener("click", () => this.dialog.close(""));
    find("without").addEventListener("click", () => this.dialog.close("\n"));
  }

  /**
   * @param {string[]} guesses are the words to offer.
   * @param {boolean} optional is whether one may go on without a word.
   * @returns {Promise<string | null>} the word, "" to go on without one, null if the question was cancelled.
   */
  ask(title, lead, guesses, optional = false) {
    find("ask-title").textContent = title;
    find("ask-lead").textContent = lead;
    find("without").hidden = !optional;
    find("suggestions").hidden = !guesses.length;
    find("suggestions").replaceChildren(...guesses.map((word) =>
      make("button", { type: "button", onclick: () => this.dialog.close(word) }, word)));
    this.answer.value = "";
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.answer.focus();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => {
        const value = this.dialog.returnValue;
        resolve(value === "\n" ? "" : value || null);
      }, { once: true });
    });
  }
}
