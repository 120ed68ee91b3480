/**
 * How the server's seats are shared among priority levels, and lent between them. Source: the API reference of
 * PriorityLevelConfiguration v1, KEP-1040 "Dispatching" and "Concurrency borrowing". All numbers are seats.
 */
import type * as flowcontrolV1 from '#api/gen/flowcontrol-v1.ts';

type Spec = flowcontrolV1.PriorityLevelConfigurationSpec;
const DEFAULT_SHARES = 30;

export interface SeatLimits {
  /** The level's own share. */
  readonly nominal: number;
  /** What is left when it lends all that it may. */
  readonly lower: number;
  /** What it has when it borrows all that it may. */
  readonly upper: number;
}

function sharesOf(spec: Spec): number {
  return spec.type === 'Exempt' ? (spec.exempt?.nominalConcurrencyShares ?? 0) : (spec.limited?.nominalConcurrencyShares ?? DEFAULT_SHARES);
}
/** The limits of each level, in order, of a server with so many seats. */
export function seatLimits(specs: readonly Spec[], totalSeats: number): SeatLimits[] {
  const shares = specs.map(sharesOf);
  const sum = shares.reduce((a, b) => a + b, 0);
  return specs.map((spec, i) => {
    const nominal = sum === 0 ? 0 : Math.ceil((totalSeats * shares[i]!) / sum);
    const { lendablePercent = 0 } = (spec.type === 'Exempt' ? spec.exempt : spec.limited) ?? {};
    const borrowing = spec.limited?.borrowingLimitPercent;
    return {
      nominal,
      lower: nominal - Math.round((nominal * lendablePercent) / 100),
      upper: nominal + (borrowing === undefined ? totalSeats : Math.round((nominal * borrowing) / 100)),
    };
  });
}

/** What one level asks for in a period. */
export interface SeatClaim {
  readonly lower: number;
  readonly upper: number;
  readonly target: number;
}
/** Halvings of the search for the fraction: more would not show in whole seats. */
const STEPS = 60;

/**
 * Shares `total` seats so that everyone gets the same fraction of its target, within its bounds. `fraction` is that fraction, 0 where
 * the lower bounds alone take everything, 1 where nobody asks.
 */
export function shareSeats(claims: readonly SeatClaim[], total: number): { readonly fraction: number; readonly seats: readonly number[] } {
  const at = (fraction: number): number[] => claims.map((c) => Math.min(c.upper, Math.max(c.lower, fraction * c.target)));
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  if (sum(at(0)) >= total) return { fraction: 0, seats: claims.map((c) => c.lower) };
  const targets = claims.filter((c) => c.target > 0);
  if (targets.length === 0) return { fraction: 1, seats: claims.map((c) => c.lower) };
  // Where everyone has reached its upper bound, or could take all seats alone.
  let high = Math.max(...targets.map((c) => Math.min(c.upper, total) / c.target), 1);
  if (sum(at(high)) <= total) return { fraction: high, seats: at(high) };
  let low = 0;
  for (let i = 0; i < STEPS; i++) {
    const middle = (low + high) / 2;
    if (sum(at(middle)) < total) low = middle;
    else high = middle;
  }
  return { fraction: low, seats: at(low) };
}
