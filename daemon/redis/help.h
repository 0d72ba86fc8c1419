// HELP of a container command, made from the table.
#pragma once

namespace knit {

class Call;

void container_help(Call& call);

}  // namespace knit
