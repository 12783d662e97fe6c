/** Fits an element's height to what an on-screen keyboard leaves, where the browser does not do it by itself. */
export class ViewportFit {
  #element;

  constructor(element) {
    this.#element = element;
    visualViewport?.addEventListener("resize", () => this.#fit());
  }

  #fit() {
    if (!visualViewport) return;
    const { height, scale } = visualViewport;
    const covered = scale === 1 && innerHeight - height > 80;
    if (covered) this.#element.style.setProperty("--fc-height", `${height}px`);
    else this.#element.style.removeProperty("--fc-height");
    if (covered) scrollTo(0, 0);
  }
}
