/** A moment as an input of date and time has it, by the operator's clock, to the minute; empty if there is none. */
export function clockOf(moment: unknown): string {
  if (typeof moment !== 'string') return '';
  const at = new Date(moment);
  return new Date(at.getTime() - 60_000 * at.getTimezoneOffset()).toISOString().slice(0, 16);
}

/** The moment of such an input; null if it is empty. */
export function momentOf(clock: unknown): string | null {
  return typeof clock === 'string' && clock !== '' ? new Date(clock).toISOString() : null;
}
