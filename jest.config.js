/** One project a kind of test, so that each can be run alone: npm run test:unit, test:netns, test:e2e, test:faults, test:images, test:helm. */
const base = {
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testEnvironment: process.env['TEST_PATIENCE'] === undefined ? 'node' : '<rootDir>/tools/jest-patient.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/tools/jest-strip.mjs' },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
};

export default {
  projects: [
    {
      ...base,
      displayName: 'unit',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: [
        '/node_modules/',
        '<rootDir>/test/netns/',
        '<rootDir>/test/e2e/',
        '<rootDir>/test/faults/',
        '<rootDir>/test/images/',
        '<rootDir>/test/helm/',
        '<rootDir>/test/kernel/guest/',
      ],
    },
    { ...base, displayName: 'netns', testMatch: ['<rootDir>/test/netns/**/*.test.ts'] },
    { ...base, displayName: 'images', testMatch: ['<rootDir>/test/images/**/*.test.ts'] },
    { ...base, displayName: 'helm', testMatch: ['<rootDir>/test/helm/**/*.test.ts'] },
    { ...base, displayName: 'kernel', testMatch: ['<rootDir>/test/kernel/guest/**/*.test.ts'] },
    { ...base, displayName: 'faults', testMatch: ['<rootDir>/test/faults/**/*.test.ts'] },
    { ...base, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.test.ts'] },
  ],
  // What a test waits for has deadlines of its own; this one is for what hangs, also on a machine that has other work.
  testTimeout: 120_000,
  reporters: ['default', '<rootDir>/tools/jest-line.mjs'],
  coverageProvider: 'v8',
  workerIdleMemoryLimit: '512MB',
};
