/**
 * Sounds, made by the browser's synthesiser: no files to load.
 *
 * Invariant: silent until the player has touched the page (browsers demand it) and while muted; a sound never fails the
 * game.
 */
import { effect, signal } from "@preact/signals";
import { readStored, store } from "./storage.ts";
import { flutter } from "./time.ts";

export type SoundName = "deal" | "chip" | "turn" | "hurry" | "see" | "pack" | "win" | "lose" | "message";

export const muted = signal(readStored("muted") === true);
effect(() => store("muted", muted.value));

let context: AudioContext | null = null;

/** Called from the first click or key: from then on there is sound. */
export function wakeSound(): void {
  if (context !== null || muted.value || typeof AudioContext === "undefined") return;
  context = new AudioContext();
}

export function play(name: SoundName): void {
  if (muted.value || context === null || context.state !== "running") return;
  try {
    SOUNDS[name](context, context.currentTime + 0.01);
  } catch {
    // A device without a sound output; the game goes on.
  }
}

const SOUNDS: Readonly<Record<SoundName, (audio: AudioContext, at: number) => void>> = {
  deal: (audio, at) => noise(audio, { at, seconds: 0.09, from: 3800, to: 1200, loud: 0.16 }),
  see: (audio, at) => noise(audio, { at, seconds: 0.16, from: 900, to: 3600, loud: 0.14 }),
  chip: (audio, at) => {
    for (const [step, pitch] of [3100, 4200, 3600].entries()) {
      tone(audio, { at: at + step * 0.045 + flutter() * 0.012, pitch, seconds: 0.07, loud: 0.05, shape: "triangle" });
    }
  },
  turn: (audio, at) => {
    tone(audio, { at, pitch: 660, seconds: 0.16, loud: 0.1, shape: "sine" });
    tone(audio, { at: at + 0.13, pitch: 880, seconds: 0.26, loud: 0.1, shape: "sine" });
  },
  hurry: (audio, at) => {
    for (const step of [0, 0.22]) tone(audio, { at: at + step, pitch: 990, seconds: 0.1, loud: 0.08, shape: "square" });
  },
  pack: (audio, at) => tone(audio, { at, pitch: 170, slide: 90, seconds: 0.22, loud: 0.16, shape: "sine" }),
  win: (audio, at) => {
    for (const [step, pitch] of [523, 659, 784, 1047, 1319].entries()) {
      tone(audio, { at: at + step * 0.1, pitch, seconds: 0.42, loud: 0.1, shape: "triangle" });
    }
  },
  lose: (audio, at) => {
    for (const [step, pitch] of [440, 370, 311].entries()) {
      tone(audio, { at: at + step * 0.15, pitch, seconds: 0.32, loud: 0.07, shape: "sine" });
    }
  },
  message: (audio, at) => tone(audio, { at, pitch: 1250, slide: 1500, seconds: 0.11, loud: 0.06, shape: "sine" }),
};

type Tone = { at: number; pitch: number; slide?: number; seconds: number; loud: number; shape: OscillatorType };

function tone(audio: AudioContext, { at, pitch, slide, seconds, loud, shape }: Tone): void {
  const source = new OscillatorNode(audio, { type: shape, frequency: pitch });
  if (slide !== undefined) source.frequency.exponentialRampToValueAtTime(slide, at + seconds);
  source.connect(envelope(audio, { at, seconds, loud })).connect(audio.destination);
  source.start(at);
  source.stop(at + seconds);
}

/** A short hiss whose pitch glides: a card over cloth. */
function noise(audio: AudioContext, of: { at: number; seconds: number; from: number; to: number; loud: number }): void {
  const samples = Math.ceil(audio.sampleRate * of.seconds);
  const buffer = new AudioBuffer({ length: samples, sampleRate: audio.sampleRate });
  const channel = buffer.getChannelData(0);
  for (let i = 0; i < samples; i++) channel[i] = ((i * 7919 + ((i * i) % 9973) * 131) % 2000) / 1000 - 1;
  const filter = new BiquadFilterNode(audio, { type: "bandpass", frequency: of.from, Q: 0.8 });
  filter.frequency.exponentialRampToValueAtTime(of.to, of.at + of.seconds);
  const source = new AudioBufferSourceNode(audio, { buffer });
  source.connect(filter).connect(envelope(audio, of)).connect(audio.destination);
  source.start(of.at);
}

function envelope(audio: AudioContext, { at, seconds, loud }: { at: number; seconds: number; loud: number }): GainNode {
  const gain = new GainNode(audio, { gain: 0 });
  gain.gain.setValueAtTime(0.0001, at);
  gain.gain.exponentialRampToValueAtTime(loud, at + 0.008);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + seconds);
  return gain;
}
