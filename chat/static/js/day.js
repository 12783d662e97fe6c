/** Days and times of messages, as the reader's language says them. */
export class Days {
  #texts;
  #time;
  #sameYear;
  #otherYear;
  #full;
  #short;

  constructor(texts) {
    const { locale } = texts;
    this.#texts = texts;
    this.#time = timeFormat(locale);
    this.#sameYear = new Intl.DateTimeFormat(locale, { weekday: "long", month: "long", day: "numeric" });
    this.#otherYear = new Intl.DateTimeFormat(locale, { year: "numeric", month: "long", day: "numeric" });
    this.#short = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
    this.#full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
  }

  /** The day of a moment in the reader's time zone, as a key to compare. */
  key(ms) {
    const date = new Date(ms);
    return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
  }

  /** "Today", "Yesterday", or the date. */
  label(ms, now = Date.now()) {
    if (this.key(ms) === this.key(now)) return this.#texts.get("today");
    const yesterday = new Date(now);
    yesterday.setDate(yesterday.getDate() - 1);
    if (this.key(ms) === this.key(yesterday)) return this.#texts.get("yesterday");
    const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
    return (sameYear ? this.#sameYear : this.#otherYear).format(ms);
  }

  /** The time of today's, the day of what is older. */
  short(ms, now = Date.now()) {
    return this.key(ms) === this.key(now) ? this.time(ms) : this.#short.format(ms);
  }

  /** The time of today's, the day and time of what is older. */
  moment(ms, now = Date.now()) {
    const time = this.time(ms);
    return this.key(ms) === this.key(now) ? time : `${this.label(ms, now)} ${time}`;
  }

  time(ms) {
    return this.#time.format(ms);
  }

  full(ms) {
    return this.#full.format(ms);
  }
}

/** 9:05 AM, but 09:05 where the day has 24 hours. */
function timeFormat(locale) {
  const twelve = new Intl.DateTimeFormat(locale, { hour: "numeric" }).resolvedOptions().hour12;
  return new Intl.DateTimeFormat(locale, { hour: twelve ? "numeric" : "2-digit", minute: "2-digit" });
}
