// Stands in for the Kameleoon tag of a real site: gives the visitor a code, in the cookie that the tag uses.
(() => {
  const name = 'kameleoonVisitorCode';
  if (document.cookie.split('; ').some(cookie => cookie.startsWith(name + '='))) return;
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const code = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => letters[byte % 36]).join('');
  document.cookie = `${name}=${code}; path=/; max-age=31536000; samesite=lax`;
})();
