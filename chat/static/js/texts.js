/** The page's sentences in its language: holes filled, plurals chosen, numbers written as the reader writes them. */
export class Texts {
  #strings;
  #plurals;
  #numbers;

  constructor(strings, language) {
    this.#strings = strings;
    this.locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
    this.#plurals = new Intl.PluralRules(this.locale);
    this.#numbers = new Intl.NumberFormat(this.locale);
  }

  get(key, values = {}) {
    const sentence = this.#strings[key] ?? key;
    return sentence.replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
  }

  /** The sentence for `n` of something: `key_one` or `key_other`. */
  count(key, n) {
    const form = this.#plurals.select(n) === "one" ? "one" : "other";
    return this.get(`${key}_${form}`, { n: this.number(n) });
  }

  number(n) {
    return this.#numbers.format(n);
  }

  /** A count for a small badge. */
  badge(n) {
    return n > 99 ? "99+" : String(n);
  }
}
