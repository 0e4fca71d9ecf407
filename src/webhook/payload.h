#pragma once
// What is posted to a webhook, in the forms that its receivers know. All are JSON, so that nothing
// in a message (line ends, quotes) can become part of the form; bytes that are no UTF-8 are
// replaced.
//
//   generic  {"event":"raised","node":"edge-1","id":…,"severity":"critical","title":…,"message":…,
//             "value":12.5,"timestamp":MS,"since":MS,"until":MS or null,"link":…}
//   feishu   {"msg_type":"text","content":{"text":TEXT}}
//   slack    {"text":TEXT}, with &, < and > written as &amp;, &lt; and &gt;, so that no text can
//            call people or links
//
// TEXT is "[critical] edge-1: High error rate" and the message on the next line; a reminder, an end
// and a missed alert say so and since when.

#include <string>
#include <string_view>

#include "alerts/alert.h"
#include "config/webhook.h"

namespace weir::webhook {

std::string payload(config::WebhookFormat format, const alerts::Message& message,
                    std::string_view node);

// Whether the receiver took the message. Status 200 to 299 says so; Feishu also answers failures
// with 200, and a `code` other than 0 in the body.
bool is_success(config::WebhookFormat format, int status, std::string_view body);

}  // namespace weir::webhook
