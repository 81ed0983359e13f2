/** An amount of chips, and a slider to choose one. Invariant: the slider yields whole chips between its bounds only. */
import type { JSX } from "preact";
import { chipsText } from "../state/words.ts";

export function Chips({ amount, class: extra = "" }: { amount: number; class?: string }): JSX.Element {
  return (
    <span class={`chips ${extra}`}>
      <span class="chip-dot" aria-hidden="true" />
      <span>{chipsText(amount)}</span>
    </span>
  );
}

type SliderProps = {
  label: string;
  min: number;
  max: number;
  step: number;
  value: number;
  onChange: (value: number) => void;
  testid?: string;
};

export function AmountSlider({ label, min, max, step, value, onChange, testid }: SliderProps): JSX.Element {
  const share = max > min ? ((value - min) / (max - min)) * 100 : 100;
  return (
    <label class="slider">
      <span class="slider-label">{label}</span>
      <output class="slider-value">{chipsText(value)}</output>
      <input
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        data-testid={testid}
        aria-valuetext={`${chipsText(value)} chips`}
        style={{ "--share": `${share}%` }}
        onInput={(event) => onChange(Math.min(max, Math.max(min, Number(event.currentTarget.value))))}
      />
      <span class="slider-ends" aria-hidden="true">
        <span>{chipsText(min)}</span>
        <span>{chipsText(max)}</span>
      </span>
    </label>
  );
}
