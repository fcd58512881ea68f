// The collector as a script tag: <script async src="https://data.example.com/anole.js" data-write-key="WRITE_KEY"></script>
// Calls may be queued before it is there: (window.anole = window.anole || []).push(['track', 'Signed Up']);

import { createAnole } from './anole.js';

const tag = document.currentScript || document.querySelector('script[data-write-key]');
const options = tag && { host: tag.src && new URL(tag.src, document.baseURI).origin, ...tag.dataset };
const name = (options && options.global) || 'anole';
const old = window[name];
if (!options || !options.writeKey) console.error('anole: the tag of the script needs data-write-key');
// Twice in a page is once.
else if (!old || !old.version) window[name] = createAnole(options, Array.isArray(old) ? old : []);
