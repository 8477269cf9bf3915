import type { Health } from './model.ts';

/** Colours of drawings; each has enough contrast on white. */
export const COLOURS: Readonly<Record<Health, string>> = {
  connected: '#2e7d32',
  connecting: '#b26a00',
  error: '#c62828',
  missing: '#c62828',
};

/** Of what nothing is known. */
export const NEUTRAL = '#616161';
