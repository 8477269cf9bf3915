// Jest environment for slow machines: every test and hook has TEST_PATIENCE times the time it asks for.
import { TestEnvironment } from 'jest-environment-node';

const factor = Number(process.env.TEST_PATIENCE ?? '1');

export default class Patient extends TestEnvironment {
  handleTestEvent(event, state) {
    if (event.name === 'setup') state.testTimeout *= factor;
    if (event.name === 'test_start' && event.test.timeout) event.test.timeout *= factor;
  }
}
