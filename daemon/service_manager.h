// What knitd tells the service manager (systemd), if one started it. Without one, nothing happens.
#pragma once

#include <optional>
#include <string>

#include "base/types.h"

namespace knit {

void notify_ready(const std::string& status);  // Clients and peers can connect.
void notify_stopping();
void notify_alive();                     // The loop turns.
std::optional<Millis> alive_interval();  // How often that must be told; half of the deadline.

}  // namespace knit
