### The context of products.

event-ProductCreated = Product listed
    .sentence = Product “{ $name }” was listed with { $variants ->
            [one] 1 variant
           *[other] { $variants } variants
        }
event-ProductDetailsChanged = Product details changed
    .sentence = The details of product “{ $name }” changed
event-ProductVariantAdded = Variant added
    .sentence = Variant { $variant-sku } of product “{ $self }” was added at { $variant-price }
event-ProductPriceChanged = Price changed
    .sentence = The price of { $sku }, “{ $self }”, changed to { $price }
event-ProductDeleted = Product deleted
    .sentence = Product “{ $self }” was deleted
event-ProductSkuReleased = SKU given back
    .sentence = SKU { $sku } of the deleted product “{ $self }” was given back
aggregate-product = product
context-product = Products, their variants and prices; search
