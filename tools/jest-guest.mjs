// Jest reporter inside a guest: one line a test, as it ends, in a form the host reads from the guest's console.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const ESCAPES = /\u001B\[[0-9;]*m/g;
const LONGEST = 6000;

export default class GuestLines {
  #tell(event) {
    writeFileSync('/dev/console', `@@ ${JSON.stringify(event)}\n`, { flag: 'a' });
  }

  onTestCaseResult({ path: file }, { ancestorTitles, title, status, duration, failureMessages }) {
    this.#tell({
      file: path.basename(file),
      test: [...ancestorTitles, title].join(' › '),
      status,
      ms: Math.round(duration ?? 0),
      failure: failureMessages.join('\n').replaceAll(ESCAPES, '').slice(0, LONGEST),
    });
  }

  onTestResult({ path: file }, { testExecError, failureMessage }) {
    if (testExecError === undefined || testExecError === null) return;
    const failure = (failureMessage ?? '').replaceAll(ESCAPES, '').slice(0, LONGEST);
    this.#tell({ file: path.basename(file), test: 'the file itself', status: 'failed', ms: 0, failure });
  }

  onRunComplete(_contexts, results) {
    const { numPassedTests: passed, numFailedTests, numRuntimeErrorTestSuites, numPendingTests: skipped } = results;
    this.#tell({ total: { passed, failed: numFailedTests + numRuntimeErrorTestSuites, skipped } });
  }
}
