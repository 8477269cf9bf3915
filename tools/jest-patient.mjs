// Jest environment for slow machines: every test and hook has TEST_PATIENCE times the time it asks for.
import { TestEnvironment } from 'jest-environment-node';

const factor = Number(process.env.TEST_PATIENCE ?? '1');

export default class Patient extends TestEnvironment {
  #lengthened = new WeakSet();

  handleTestEvent(event, state) {
    if (event.name === 'setup') state.testTimeout *= factor;
    if (event.name === 'test_start') this.#lengthen(event.test);
    if (event.name === 'hook_start') this.#lengthen(event.hook);
  }

  /** A hook runs for every test, but is lengthened once. */
  #lengthen(one) {
    if (!one.timeout || this.#lengthened.has(one)) return;
    this.#lengthened.add(one);
    one.timeout *= factor;
  }
}
