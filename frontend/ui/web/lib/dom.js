// The parts of preact that the page is written with.
export {
  html, render, Component, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useErrorBoundary,
} from "../vendor/preact.js";
