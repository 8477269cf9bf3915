// Jest transformer: removes type annotations with Node's own stripper, so tests run the sources as they are.
import { createHash } from 'node:crypto';
import { stripTypeScriptTypes } from 'node:module';

export default {
  process: (source) => ({ code: stripTypeScriptTypes(source) }),
  getCacheKey: (source, file, options) =>
    createHash('sha1')
      .update([process.version, file, source, String(options.instrument), options.configString].join('\0'))
      .digest('hex'),
};
