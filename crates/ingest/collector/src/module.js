// The collector as a module: import { createAnole } from 'https://data.example.com/anole.mjs'

import { createAnole as create } from './anole.js';

export function createAnole(options) {
  const { writeKey, host = new URL(import.meta.url).origin } = options || {};
  if (!writeKey) throw new TypeError('anole: createAnole needs a writeKey');
  // In a bundle the module's own address is a file, or that of the site.
  if (!host || host === 'null') throw new TypeError('anole: createAnole needs the host to send to');
  return create({ ...options, host });
}
