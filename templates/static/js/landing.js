// The landing page: only its counts move.

import { followStock } from "./stock.js";

followStock();
