// Choices of this browser. Storage may be switched off; then they last as long as the page.

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`belay.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`belay.${name}`, value);
  } catch {
    // The choice is not kept.
  }
}
