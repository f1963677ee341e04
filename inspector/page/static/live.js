// The live connection of one camera. One credit: the service sends the next message only once this
// page has shown the last one, so a page that stalls has nothing to catch up with.

import { learn, listen, look, station } from "./station.js";

const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 3000;

export class Live {
  constructor(camera, { onFrame, onMarks, onUnit, onOpen, onLost }) {
    this.camera = camera;
    this.handlers = { frame: onFrame, marks: onMarks, unit: onUnit };
    this.onOpen = onOpen;
    this.onLost = onLost;
    this.retryMs = FIRST_RETRY_MS;
    this.closed = false;
    this.owes = false;
    this.visible = () => this.pay();
    document.addEventListener("visibilitychange", this.visible);
    // Polling notices sooner than the socket that the service is gone.
    this.unlisten = listen(() => {
      if (station.up === false) this.socket?.close();
      // There is none yet where the view was opened while the service was away.
      else if (!this.socket || this.socket.readyState === WebSocket.CLOSED) this.retry();
    });
    this.connect();
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  retry() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.retryMs);
  }

  connect() {
    clearTimeout(this.timer);
    const isOpening = this.socket?.readyState === WebSocket.CONNECTING;
    if (this.closed || station.up === false || isOpening || this.isOpen) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/live/${encodeURIComponent(this.camera)}`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.onOpen();
      this.credit();
    };
    socket.onmessage = async ({ data }) => {
      await this.take(data);
      if (socket === this.socket) this.credit();
    };
    socket.onclose = () => {
      if (this.closed || socket !== this.socket) return;
      this.onLost();
      look();
      this.retry();
      this.retryMs = Math.min(this.retryMs * 1.6, LAST_RETRY_MS);
    };
  }

  async take(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    if (header.type === "status") {
      learn(header.status);
      return;
    }
    const jpeg = data.slice(4 + length);
    const bitmap = jpeg.byteLength ? await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).catch(() => null) : null;
    if (!this.closed) this.handlers[header.type]?.(header, bitmap);
  }

  // A page that nobody sees asks for nothing.
  credit() {
    this.owes = true;
    this.pay();
  }

  pay() {
    if (!this.owes || document.hidden || this.socket?.readyState !== WebSocket.OPEN) return;
    this.owes = false;
    this.socket.send("next");
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.visible);
    this.unlisten();
    // One that is still being opened is closed once it is, or the browser complains.
    if (this.socket?.readyState === WebSocket.CONNECTING) this.socket.onopen = () => this.socket.close();
    else this.socket?.close();
  }
}
