// Spectra to zoom into and maps to read values from, in the report of espm_hs. What is
// drawn stands in attributes of the page; without this script its images stay.
"use strict";
(() => {
  const INK = "#222", PALE = "#bbb", FONT = "12px system-ui, sans-serif";
  const LEFT = 62, RIGHT = 10, TOP = 64, BOTTOM = 40;
  // pixels that a label of a line needs
  const LABEL = 15;

  const add = (parent, tag, text = "") => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    return made;
  };
  const short = (x) =>
    x === null ? "–" : Math.abs(x) >= 1e5 || (x && Math.abs(x) < 1e-2)
      ? Number(x.toPrecision(3)).toExponential() : Number(x.toPrecision(4)).toString();

  // Numbers for ticks: 1, 2 or 5 times a power of ten, about so many of them.
  const ticks = (low, high, n) => {
    const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((x) => x >= raw);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); i++)
      found.push(i * step);
    return found;
  };

  class Spectra {
    constructor(box) {
      Object.assign(this, JSON.parse(box.dataset.spectra));
      this.last = this.first + this.step * (this.series[0].values.length - 1);
      this.range = [...this.shown];
      this.canvas = add(box, "canvas");
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", box.dataset.label);
      this.readout = add(box, "output", "\u00a0");
      const bar = add(box, "p");
      bar.className = "bar";
      for (const one of this.series) this.button(bar, one);
      const scale = add(bar, "button", "linear");
      scale.onclick = () => {
        this.log = !this.log;
        scale.textContent = this.log ? "linear" : "log";
        this.draw();
      };
      if (!this.log) scale.textContent = "log";
      add(bar, "button", "all energies").onclick = () => this.show(this.first, this.last);
      add(bar, "button", "as at first").onclick = () => this.show(...this.shown);
      this.listen();
      new ResizeObserver(() => this.draw()).observe(box);
    }

    button(bar, one) {
      const made = add(bar, "button", one.name);
      made.style.borderBottom = `3px solid ${one.colour}`;
      const press = () => made.setAttribute("aria-pressed", String(!one.hidden));
      made.onclick = () => {
        one.hidden = !one.hidden;
        press();
        this.draw();
      };
      press();
    }

    listen() {
      const { canvas } = this;
      let from = null;
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom(1.25 ** Math.sign(event.deltaY), this.energy(event.offsetX));
      }, { passive: false });
      canvas.onpointerdown = (event) => {
        from = { x: event.offsetX, range: [...this.range] };
        canvas.setPointerCapture(event.pointerId);
      };
      canvas.onpointerup = () => { from = null; };
      canvas.onpointermove = (event) => {
        if (from) {
          const [low, high] = from.range;
          const moved = (high - low) * (from.x - event.offsetX) / this.width;
          this.show(low + moved, high + moved);
        }
        this.read(this.energy(event.offsetX));
      };
      canvas.onpointerleave = () => this.read(null);
      canvas.ondblclick = () => this.show(...this.shown);
      canvas.onkeydown = (event) => {
        const [low, high] = this.range, part = 0.1 * (high - low);
        const moves = {
          ArrowLeft: () => this.show(low - part, high - part),
          ArrowRight: () => this.show(low + part, high + part),
          "+": () => this.zoom(0.8, (low + high) / 2),
          "-": () => this.zoom(1.25, (low + high) / 2),
        };
        if (!moves[event.key]) return;
        event.preventDefault();
        moves[event.key]();
      };
    }

    energy(x) {
      return this.range[0] + (x - LEFT) / this.width * (this.range[1] - this.range[0]);
    }

    place(energy) {
      const [low, high] = this.range;
      return LEFT + (energy - low) / (high - low) * this.width;
    }

    zoom(factor, about) {
      const [low, high] = this.range;
      this.show(about + (low - about) * factor, about + (high - about) * factor);
    }

    // Show a range of energies, within those of the spectrum and ten channels wide.
    show(low, high) {
      const whole = this.last - this.first;
      const span = Math.min(Math.max(high - low, 10 * this.step), whole);
      const start = Math.min(Math.max(low, this.first), this.last - span);
      this.range = [start, start + span];
      this.draw();
    }

    // Say what is at an energy.
    read(energy) {
      this.at = energy;
      this.draw();
      if (energy === null) {
        this.readout.textContent = "\u00a0";
        return;
      }
      const n = this.series[0].values.length;
      const i = Math.round((energy - this.first) / this.step);
      const j = Math.min(Math.max(i, 0), n - 1);
      const near = this.lines.filter(([x]) => Math.abs(x - energy) < this.near);
      const values = this.series.filter((one) => !one.hidden)
        .map((one) => `${one.name} ${short(one.values[j])}`);
      const names = near.map(([x, name]) => `${name} ${x.toFixed(3)}`).join(", ");
      this.readout.textContent =
        `${(this.first + j * this.step).toFixed(3)} keV: ${values.join(", ")}` +
        (names ? ` – lines near: ${names}` : "");
    }

    draw() {
      const { canvas } = this, sharp = window.devicePixelRatio || 1;
      const wide = canvas.clientWidth, high = canvas.clientHeight;
      if (!wide) return;
      canvas.width = wide * sharp;
      canvas.height = high * sharp;
      this.width = wide - LEFT - RIGHT;
      this.height = high - TOP - BOTTOM;
      const pen = canvas.getContext("2d");
      pen.scale(sharp, sharp);
      pen.font = FONT;
      const first = Math.max(0, Math.floor((this.range[0] - this.first) / this.step));
      const last = Math.ceil((this.range[1] - this.first) / this.step) + 1;
      const seen = this.series.filter((one) => !one.hidden);
      const values = seen.flatMap((one) => one.values.slice(first, last))
        .filter((x) => x !== null && x > 0);
      const top = values.length ? Math.max(...values) : 1;
      const least = values.length ? Math.min(...values) : top;
      const bottom = this.log ? Math.max(least, 1e-4 * top) * 0.8 : 0;
      const scaled = (x) => this.log
        ? Math.log(Math.max(x, bottom) / bottom) / Math.log(top / bottom || 1)
        : x / top;
      const y = (x) => TOP + this.height * (1 - scaled(x));
      this.axes(pen, this.log ? this.decades(bottom, top) : ticks(0, top, 5), y);
      pen.save();
      pen.beginPath();
      pen.rect(LEFT, TOP - 2, this.width, this.height + 2);
      pen.clip();
      for (const one of seen) this.curve(pen, one, first, last, y);
      if (this.at != null) this.upright(pen, this.at, PALE);
      pen.restore();
      this.labels(pen, y);
    }

    decades(bottom, top) {
      const found = [];
      for (let k = Math.ceil(Math.log10(bottom)); 10 ** k <= top; k++) found.push(10 ** k);
      return found.length > 1 ? found : ticks(bottom, top, 4);
    }

    axes(pen, levels, y) {
      pen.strokeStyle = INK;
      pen.fillStyle = INK;
      pen.lineWidth = 1;
      pen.strokeRect(LEFT, TOP, this.width, this.height);
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      for (const level of levels) {
        pen.fillText(short(level), LEFT - 6, y(level));
        pen.fillRect(LEFT - 4, y(level), 4, 1);
      }
      pen.textAlign = "center";
      pen.textBaseline = "top";
      const under = TOP + this.height;
      for (const tick of ticks(...this.range, 8)) {
        pen.fillText(short(tick), this.place(tick), under + 6);
        pen.fillRect(this.place(tick), under, 1, 4);
      }
      pen.fillText("energy (keV)", LEFT + this.width / 2, under + 22);
      pen.save();
      pen.translate(12, TOP + this.height / 2);
      pen.rotate(-Math.PI / 2);
      pen.fillText(this.label, 0, -6);
      pen.restore();
    }

    curve(pen, one, first, last, y) {
      pen.strokeStyle = one.colour;
      pen.lineWidth = one.wide ? 1.6 : 1;
      pen.beginPath();
      let begun = false;
      for (let i = first; i < Math.min(last, one.values.length); i++) {
        if (one.values[i] === null) {
          begun = false;
          continue;
        }
        const at = [this.place(this.first + i * this.step), y(one.values[i])];
        if (begun) pen.lineTo(...at);
        else pen.moveTo(...at);
        begun = true;
      }
      pen.stroke();
    }

    upright(pen, energy, colour, from = TOP) {
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.moveTo(this.place(energy), from);
      pen.lineTo(this.place(energy), TOP + this.height);
      pen.stroke();
    }

    // Names of lines above, the highest peaks first, as long as there is room.
    labels(pen, y) {
      const taken = [];
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      for (const [energy, name, height] of this.lines) {
        const x = this.place(energy);
        if (x < LEFT || x > LEFT + this.width) continue;
        if (taken.some((other) => Math.abs(other - x) < LABEL)) continue;
        taken.push(x);
        pen.strokeStyle = PALE;
        pen.beginPath();
        pen.moveTo(x, TOP - 3);
        pen.lineTo(x, Math.max(TOP - 3, Math.min(y(height) - 3, TOP + this.height)));
        pen.stroke();
        pen.save();
        pen.translate(x, TOP - 6);
        pen.rotate(-Math.PI / 2);
        pen.fillText(name, 0, 0);
        pen.restore();
      }
    }
  }

  class Maps {
    constructor(box) {
      Object.assign(this, JSON.parse(box.dataset.maps));
      const row = add(box, "div");
      row.className = "row";
      this.readout = add(box, "output", "\u00a0");
      for (const map of this.maps) this.load(row, map);
    }

    load(row, map) {
      const figure = add(row, "figure");
      map.canvas = add(figure, "canvas");
      map.canvas.width = this.width;
      map.canvas.height = this.height;
      map.canvas.setAttribute("role", "img");
      map.canvas.setAttribute("aria-label", `${map.name}, ${this.label}`);
      add(figure, "figcaption", `${map.name}, up to ${short(map.highest)} ${this.label}`);
      map.canvas.onpointermove = (event) => this.read(event, map);
      map.canvas.onpointerleave = () => this.unread();
      const image = new Image();
      image.onload = () => {
        const pen = map.canvas.getContext("2d", { willReadFrequently: true });
        pen.drawImage(image, 0, 0);
        map.pixels = pen.getImageData(0, 0, this.width, this.height);
        map.levels = Uint8Array.from({ length: this.width * this.height },
          (_, i) => map.pixels.data[4 * i]);
        this.paint(map);
      };
      image.src = map.image;
    }

    // Level 0 is a pixel without a value, 1 to 255 are from 0 to the highest one.
    paint(map, at = -1) {
      map.levels.forEach((level, i) => {
        const colour = i === at ? [255, 0, 0] : this.colours[level];
        map.pixels.data.set(colour, 4 * i);
        map.pixels.data[4 * i + 3] = 255;
      });
      map.canvas.getContext("2d").putImageData(map.pixels, 0, 0);
    }

    read(event, { canvas }) {
      const inside = (x, size, n) => Math.min(n - 1, Math.max(0, Math.floor(x / size * n)));
      const x = inside(event.offsetX, canvas.clientWidth, this.width);
      const y = inside(event.offsetY, canvas.clientHeight, this.height);
      const i = y * this.width + x;
      const values = this.maps.filter((map) => map.levels).map((map) => {
        this.paint(map, i);
        const level = map.levels[i];
        return `${map.name} ${level ? short(map.highest * (level - 1) / 254) : "–"}`;
      });
      const bin = this.bin > 1 ? `, mean of ${this.bin} × ${this.bin} pixels` : "";
      const [right, down] = [x, y].map((n, axis) =>
        `${n * this.bin}` + (this.units
          ? ` (${short(n * this.bin * this.steps[axis])} ${this.units})` : ""));
      this.readout.textContent =
        `x ${right}, y ${down}${bin}: ${values.join(", ")} (${this.label})`;
    }

    unread() {
      this.readout.textContent = "\u00a0";
      for (const map of this.maps) if (map.levels) this.paint(map);
    }
  }

  document.documentElement.classList.add("live");
  for (const box of document.querySelectorAll("[data-spectra]")) new Spectra(box);
  for (const box of document.querySelectorAll("[data-maps]")) new Maps(box);
})();
