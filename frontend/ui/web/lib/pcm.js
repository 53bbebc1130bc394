// Runs beside the page: the microphone's sound as 16-bit samples, a tenth of a second at a time.
const SAMPLES = 2400;

class Pcm extends AudioWorkletProcessor {
  kept = new Int16Array(SAMPLES);
  count = 0;

  process([[samples = []]]) {
    for (const sample of samples) {
      this.kept[this.count++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.count < SAMPLES) continue;
      this.port.postMessage(this.kept.slice().buffer);
      this.count = 0;
    }
    return true;
  }
}
registerProcessor("pcm", Pcm);
