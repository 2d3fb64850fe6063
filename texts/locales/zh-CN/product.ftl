### The context of products.

event-ProductCreated = 商品上架
    .sentence = 商品“{ $name }”上架，款式数：{ $variants }
event-ProductDetailsChanged = 商品描述已更新
    .sentence = 商品“{ $name }”的描述已更新
event-ProductVariantAdded = 新增款式
    .sentence = 商品“{ $self }”新增款式 { $variant-sku }，价格 { $variant-price }
event-ProductPriceChanged = 价格已更改
    .sentence = 商品“{ $self }”{ $sku } 的价格改为 { $price }
event-ProductDeleted = 商品已删除
    .sentence = 商品“{ $self }”已删除
event-ProductSkuReleased = 货号已释放
    .sentence = 已删除商品“{ $self }”的货号 { $sku } 已释放
aggregate-product = 商品
context-product = 商品及其款式、价格和搜索
