/** How many times slower than a machine's own kernel the one under the tests may be; guests set it. */
const factor = Number(process.env['TEST_PATIENCE'] ?? '1');

/** A deadline in milliseconds, longer where everything takes longer. */
export function patient(ms: number): number {
  return ms * factor;
}
