// The filter: an expression, completed as it is typed.

import { get } from "./api.js";
import { $, button, el } from "./dom.js";
import { completions, unknownFields } from "./completion.js";

const EXAMPLES = ['width >= 800', 'format in ["jpeg", "webp"]', 'not uri contains "draft"', "date >= 2024-01-01", "exists(camera)"];
const PAUSE = 150; // ms after the last key

export class FilterBox {
  /** A combobox; `changed(text)` when the filter is to hold. */
  constructor(input, list, changed) {
    Object.assign(this, { input, list, changed, options: [], chosen: -1 });
    input.addEventListener("input", () => {
      $("filter-error").textContent = "";
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.open(), PAUSE);
    });
    input.addEventListener("focus", () => this.open());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.onKey(event));
    input.addEventListener("change", () => this.apply());
    $("filter-help-button").addEventListener("click", () => this.toggleHelp());
  }

  set(text) {
    if (document.activeElement !== this.input || !text) this.input.value = text;
    this.applied = text;
    $("filter-error").textContent = "";
  }

  apply() {
    const text = this.input.value.trim();
    if (text === this.applied) return;
    this.applied = text;
    this.changed(text);
    this.warn(text);
  }

  /** The fields of the collection; none where they cannot be had: they are a help, no more. */
  async known() {
    this.fields ??= get("v1/fields").then((answer) => answer.fields);
    try {
      return await this.fields;
    } catch {
      this.fields = null;
      return [];
    }
  }

  /** A misspelt field is no error: images may have any. */
  async warn(text) {
    const fields = await this.known();
    const [unknown] = fields.length ? unknownFields(text, fields) : [];
    if (unknown && text === this.applied) $("filter-error").textContent = `No image here has a field ${unknown}.`;
  }

  async open() {
    const mine = (this.asked = {}); // closed meanwhile, it stays so
    const fields = await this.known();
    if (this.asked !== mine || document.activeElement !== this.input) return;
    this.options = completions(this.input.value, this.input.selectionStart, fields);
    this.chosen = -1;
    this.list.replaceChildren(
      ...this.options.map(({ label, note }, number) =>
        el(
          "li",
          { id: `filter-option-${number}`, role: "option", onpointerdown: (event) => this.take(number, event) },
          el("span", {}, label),
          note && el("small", {}, note),
        ),
      ),
    );
    this.show(this.options.length > 0);
  }

  show(open) {
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", open);
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.asked = null;
    this.chosen = -1;
    this.show(false);
  }

  take(number, event) {
    event?.preventDefault(); // the input keeps the focus
    const { text, caret } = this.options[number];
    this.input.value = text;
    this.input.setSelectionRange(caret, caret);
    this.open();
  }

  onKey(event) {
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!open) this.open();
      else this.choose(event.key === "ArrowDown" ? this.chosen + 1 : Math.max(this.chosen, 0) - 1);
    } else if ((event.key === "Enter" || event.key === "Tab") && open && this.chosen >= 0) this.take(this.chosen);
    else if (event.key === "Enter") {
      this.close();
      this.apply();
    } else if (event.key === "Escape" && open) this.close();
    else return;
    event.preventDefault();
  }

  choose(number) {
    const items = [...this.list.children];
    this.chosen = (number + items.length) % items.length;
    items.forEach((item, place) => item.setAttribute("aria-selected", place === this.chosen));
    items[this.chosen].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", items[this.chosen].id);
  }

  toggleHelp() {
    const help = $("filter-help");
    if (!help.childElementCount) help.append(...this.help());
    help.hidden = !help.hidden;
    $("filter-help-button").setAttribute("aria-expanded", !help.hidden);
  }

  help() {
    const use = (text) => {
      this.input.value = text;
      this.input.focus();
      this.apply();
    };
    return [
      el("p", {}, "A field, an operator and a value; ", el("code", {}, "and"), ", ", el("code", {}, "or"), ", ", el("code", {}, "not"), " and parentheses join them."),
      el("ul", {}, EXAMPLES.map((text) => el("li", {}, button(text, () => use(text), { class: "link code" })))),
      el("p", {}, "Operators: ", el("code", {}, "== != < <= > >= in contains exists(…)"), ". Text is in quotes, dates are 2024-01-31."),
    ];
  }
}
