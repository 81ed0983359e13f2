/**
 * Buttons.
 *
 * Invariant: a button that cannot be used now stays where it is and stays reachable by keyboard: it is `aria-disabled`,
 * not disabled, and does nothing.
 */
import type { ComponentChildren, JSX } from "preact";
import { Icon, type IconName } from "./icons.tsx";

export type ButtonProps = {
  children: ComponentChildren;
  onPress: () => void;
  tone?: "plain" | "gold" | "green" | "red" | "quiet";
  off?: boolean;
  /** The key that does the same, shown as a hint. */
  hint?: string;
  class?: string;
  testid?: string;
  label?: string;
};

export function Button(props: ButtonProps): JSX.Element {
  const { children, onPress, tone = "plain", off = false, hint, class: extra = "", testid, label } = props;
  return (
    <button
      type="button"
      class={`button ${extra}`}
      data-tone={tone}
      data-testid={testid}
      aria-disabled={off}
      aria-label={label}
      aria-keyshortcuts={hint}
      onClick={() => {
        if (!off) onPress();
      }}
    >
      {children}
      {hint !== undefined && (
        <kbd class="hint" aria-hidden="true">
          {hint}
        </kbd>
      )}
    </button>
  );
}

export function IconButton(props: {
  icon: IconName;
  label: string;
  onPress: () => void;
  testid?: string;
  pressed?: boolean;
  dot?: boolean;
}): JSX.Element {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      data-testid={props.testid}
      data-dot={props.dot || undefined}
      onClick={props.onPress}
    >
      <Icon name={props.icon} />
    </button>
  );
}
